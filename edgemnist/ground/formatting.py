"""Numbers as every sentence, table and page writes them."""

from collections.abc import Mapping
from typing import Final

_UNITS = {"memory_mb": ("memory", "MB"), "max_mhz": ("clock", "MHz")}


def host_fact(name: str, value: object) -> tuple[str, str]:
    """Return a fact about a host as it is shown, `memory_mb` as `memory` of `25,276 MB`."""
    shown, unit = _UNITS.get(name, (name, ""))
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {one}" for key, one in value.items())
    elif isinstance(value, list):
        text = ", ".join(map(str, value))
    else:
        text = f"{value:,}" if isinstance(value, int | float) else str(value)
    return shown, f"{text} {unit}".rstrip()


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: `1 label`, `1,024 labels`."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def percent(share: float | None, places: int = 2) -> str:
    """Return a share between 0 and 1 as `97.91 %`, and a dash for one that is not known."""
    return "–" if share is None else f"{100 * share:.{places}f} %"


def points(value: float | None) -> str:
    """Return a difference of two shares, in percentage points, as `+0.02`, `−0.10` or `0.00`; a dash for none."""
    if value is None:
        return "–"
    text = f"{value:+.2f}"
    return "0.00" if text[1:] == "0.00" else text.replace("-", "−")


def answered_by(artifact: str, runtime: str) -> str:
    """Return which model in which runtime answered: `tflite-int8, litert`, or a name that tells both."""
    return artifact if artifact.endswith(f"@{runtime}") else f"{artifact}, {runtime}"


def kilobytes(count: int) -> str:
    """Return a number of bytes as `424 KB`, 1 KB being 1,000 bytes."""
    return f"{count / 1000:,.0f} KB"


def footprint(name: str, flash_bytes: int, ram_bytes: int, stack_bytes: int | None) -> str:
    """Return what a C artifact takes of a microcontroller, as a sentence; an earlier record does not have the stack."""
    stack = "not counting the stack" if stack_bytes is None else f"of which {stack_bytes:,} are stack"
    most = f"{flash_bytes:,} bytes of flash and {ram_bytes:,} bytes of RAM"
    return f"{name} takes at most {most} on a Cortex-M0+, M3, M4, M7, M33 or M55, {stack}."


DISTURBED: Final = "*"
"""The mark of a figure that was measured on a disturbed machine."""
DISTURBED_LEGEND: Final = f"Times with {DISTURBED} are of a disturbed machine, and too long."


def microseconds(value: float | None, *, tainted: bool = False) -> str:
    """Return a latency with three figures: `6.05 µs`, `352 µs`, `35.1 ms`; a dash where it is not known.

    What is `tainted` carries the mark `DISTURBED`.
    """
    if value is None:
        return "–"
    mark = DISTURBED if tainted else ""
    if value >= 1000:  # noqa: PLR2004 - µs in a ms
        return f"{value / 1000:,.1f} ms{mark}"
    places = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004 - three figures
    return f"{value:.{places}f} µs{mark}"


def ratio(value: float | None) -> str:
    """Return how many times as fast something is: `2,380×`, `1.42×`; empty where it is not known."""
    if value is None:
        return ""
    return f"{value:,.0f}×" if value >= 100 else f"{value:.2f}×"  # noqa: PLR2004 - three figures
