"""Gates as a file: limits in TOML, by quantization or by artifact, that take the place of the built-in ones.

settled_images = 10000

[int8]                        # every int8 artifact
max_flips_percent = 0.1

[tflite-int8]                 # this one only
max_drop_points = 0.05
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.formats import artifact_names
from edgemnist.results.verify import ArtifactParity, Limit
from edgemnist.verify.gate import GATES, SETTLED_IMAGES, Gate, Share, gate_for

SETTLED_KEY: Final = "settled_images"


@dataclass(frozen=True, kw_only=True)
class _Limit:
    """One key of a gate file."""

    field: str
    """Of `Gate`."""
    unit: float = 1.0
    """What 1 means in the gate's own unit: 0.01 for a percentage."""
    largest: float = 1.0
    counts: bool = False
    """Whether it is a `Share` of the images."""
    meaning: str
    """For the comment in `--show-gate`."""


LIMITS: Final[Mapping[str, _Limit]] = MappingProxyType(
    {
        "max_flips_percent": _Limit(
            field="flips", unit=0.01, largest=100.0, counts=True, meaning="labels that differ from the Keras model's"
        ),
        "max_drop_points": _Limit(
            field="drop", unit=0.01, largest=100.0, counts=True, meaning="accuracy lost, in percentage points"
        ),
        "max_abs_diff": _Limit(field="abs_diff", meaning="of one probability"),
        "max_mean_diff": _Limit(field="mean_diff", meaning="of all probabilities on average"),
        "max_batch_flips_percent": _Limit(
            field="batch_flips",
            unit=0.01,
            largest=100.0,
            counts=True,
            meaning="labels that depend on the size of the batch",
        ),
        "max_batch_diff": _Limit(field="batch_diff", meaning="of one probability, between a batch of 1 and of N"),
        "max_sum_error": _Limit(field="sum_error", meaning="of the probabilities' sum, a class"),
        "max_integer_diff": _Limit(
            field="integer_diff", meaning="of one probability, between runtime and integer reference"
        ),
    }
)


@dataclass(frozen=True)
class GateTable:
    """The gates of every quantization, and what single artifacts have of their own."""

    settled: int = SETTLED_IMAGES
    """From how many images on the shares hold to the letter."""
    changes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Limits in the file's units, by quantization or artifact and key."""

    def of(self, name: str, quantization: str) -> Gate:
        """Return the gate of an artifact. Raises UnknownNameError for a quantization without one."""
        gate = gate_for(quantization)
        counts = [one.field for one in LIMITS.values() if one.counts]
        gate = replace(gate, **{one: replace(getattr(gate, one), settled=self.settled) for one in counts})
        for table in (quantization, name):
            for key, value in self.changes.get(table, {}).items():
                limit, amount = LIMITS[key], value * LIMITS[key].unit
                changed: Any = Share(amount, settled=self.settled) if limit.counts else amount
                gate = replace(gate, **{limit.field: changed})
        return gate

    def document(self) -> dict[str, Any]:
        """Return all limits as a gate file would have them."""
        tables: dict[str, Any] = {SETTLED_KEY: self.settled}
        for name in (*GATES, *(name for name in self.changes if name not in GATES)):
            if name in GATES:
                gate = self.of("", name)
                tables[name] = {key: value for key, one in LIMITS.items() if (value := _value(gate, one)) is not None}
            else:
                tables[name] = dict(self.changes[name])
        return tables


def read_gates(path: Path) -> GateTable:
    """Read a gate file. What it does not mention keeps its built-in limit.

    On fewer than `settled_images` its shares allow for chance, as the built-in ones do; with 0 they never do.

    Raises UsageError where it is missing, no TOML, or has a limit out of range, UnknownNameError for a name in it that
    means nothing.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a gate file: {error}",
            hint="See what a gate file may say with: edgemnist verify --show-gate",
        ) from error
    settled = document.pop(SETTLED_KEY, SETTLED_IMAGES)
    if type(settled) is not int or settled < 0:
        raise UsageError(f"{path}: {SETTLED_KEY} is {settled!r}, not a number of images")
    known = [*GATES, *artifact_names()]
    changes: dict[str, dict[str, float]] = {}
    for name, table in document.items():
        if name not in known:
            raise UnknownNameError(f"quantization or artifact, named in {path},", name, known)
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} is {table!r}, not a table", hint=f"Write [{name}] with its limits below.")
        changes[name] = {key: _checked(path, name, key, value) for key, value in table.items()}
    return GateTable(settled=settled, changes=changes)


def gate_toml(gates: GateTable) -> str:
    """Return a gate file with all limits, which `read_gates` reads back to the same gates."""
    document = gates.document()
    lines = [
        "# Shares hold to the letter from this many evaluation images on; on fewer, chance is allowed for; 0: always.",
        f"{SETTLED_KEY} = {document.pop(SETTLED_KEY)}",
    ]
    explained: set[str] = set()
    for name, table in document.items():
        lines += ["", f"[{name}]"]
        for key, value in table.items():
            comment = "" if key in explained else f"  # {LIMITS[key].meaning}"
            explained.add(key)
            lines.append(f"{key} = {value!r}{comment}")
    return "\n".join(lines) + "\n"


def held_limits(gate: Gate, quantization: str, images: int) -> dict[str, Limit]:
    """Return the limits of a gate over so many images, by their names here, beside the quantization's built-in ones."""
    usual = gate_for(quantization)
    limits = {}
    for key, one in LIMITS.items():
        if (limit := _value(gate, one)) is None:
            continue
        builtin, allowed = _value(usual, one), _allowed(gate, one, images)
        own = (limit, allowed) != (builtin, _allowed(usual, one, images))
        limits[key] = Limit(limit=limit, builtin=builtin, allowed=allowed, own=own)
    return limits


def own_gates(artifacts: Sequence[ArtifactParity]) -> list[str]:
    """Return a sentence for each gate that is not the built-in one: what passed it might not have passed that."""
    names: dict[str, list[str]] = {}
    for parity in artifacts:
        limits = ", ".join(_own(key, limit) for key, limit in parity.gate.items() if limit.own)
        names.setdefault(limits, []).append(parity.name)
    return [
        f"The gate of {', '.join(those)} is not the built-in one: {limits}."
        for limits, those in names.items()
        if limits
    ]


def _own(key: str, limit: Limit) -> str:
    if limit.limit == limit.builtin:
        # The same share of few images, with more or less allowed for chance.
        return f"{key} {limit.limit:g} counted as {limit.allowed:,} images"
    return f"{key} {limit.limit:g}" + ("" if limit.builtin is None else f" instead of {limit.builtin:g}")


def _allowed(gate: Gate, limit: _Limit, images: int) -> int | None:
    share: Share | float | None = getattr(gate, limit.field)
    return share.allowed(images) if isinstance(share, Share) else None


def _value(gate: Gate, limit: _Limit) -> float | None:
    value: Share | float | None = getattr(gate, limit.field)
    if value is None:
        return None
    amount = value.share if isinstance(value, Share) else value
    # 0.002 / 0.01 is 0.19999999999999998, which nobody wrote.
    return float(f"{amount / limit.unit:.12g}") if limit.unit != 1.0 else float(amount)


def _checked(path: Path, name: str, key: str, value: object) -> float:
    if key not in LIMITS:
        raise UnknownNameError(f"limit, named in {path} at [{name}],", key, LIMITS)
    # A bool is an int to Python, and no limit.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= LIMITS[key].largest:
        return float(value)
    raise UsageError(
        f"{path}: {key} of [{name}] must be a number between 0 and {LIMITS[key].largest:g} (got {value!r})"
    )
