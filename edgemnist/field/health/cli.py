"""`edgemnist health`: its options and its page."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED, UsageError
from edgemnist.ground.console import command_app, options, show
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import closing, fault_line, table
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.samples import HARM, HARMLESS, UNCHANGED
from edgemnist.ground.results.verdict import UNKNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgemnist.ground.results.samples import ChangedSample, HealthReport, Quantity

app = command_app()


@app.command(epilog="Example: edgemnist health · edgemnist health --on pi@kitchen.local --on pi@door.local")
def health(
    *,
    samples: list[str] | None = option(
        "--samples DIR|FILE",
        "Directory of --collect, or file of --health. Repeatable; with --on, its path on each board.",
        shown="samples",
    ),
    on: options.OnEach = None,
    inventory: Path | None = option("--inventory FILE", "Boards from a fleet.toml, in addition to --on."),
    json: options.Json = False,
) -> None:
    """Say whether the model is still as good as it was: from counts of what it answers, and labels if there are any.

    Doubt, and the ink on pictures like MNIST's, are compared with the first week's, with at most one false alarm in
    100,000 images, however often you look. Exit 0: nothing has changed, or labels show that a change is harmless.
    Exit 1: harm, or nobody can know yet. Confidence misses errors that the model is certain about, so only labels show
    that there is no harm.
    """
    from edgemnist.field.health.run import places_here, places_on, report_on

    named = samples or ["samples"]
    del inventory  # Its boards are among those of --on.
    if on:
        if len(named) > 1:
            raise UsageError("With --on, --samples is given once", hint="It is the same path on each board.")
        places, faults = places_on(on or [], named[0])
    else:
        places, faults = places_here([Path(one) for one in named]), []
    result = report_on(places, faults)
    show(result, lambda: health_page(result), json=json)
    codes = [one.fault.exit_code for one in result.boards if one.fault is not None]
    if codes or not result.passed:
        raise typer.Exit(max([EXIT_GATE_MISSED, *codes] if not result.passed else codes))


LOUD: Final = 5.0
"""Power of ten of evidence at which the alarm is given."""

_CLOSING: Final = {
    HARM: ("Harm.", "edgemnist review"),
    UNKNOWN: ("Unknown.", "edgemnist review"),
    HARMLESS: ("Harmless.", ""),
    UNCHANGED: ("Nothing has changed beyond chance.", ""),
}

OLD_DAYS: Final = 7
"""Age of the latest image from which the page says so."""

GREY: Final = 2
"""Axes of a picture that a terminal shows."""


def image_of(sample: ChangedSample) -> npt.NDArray[Any]:
    """Return what the model was given."""
    import numpy as np

    from edgemnist.model.task import default_input

    shape = default_input().shape if sample.shape is msgspec.UNSET else tuple(sample.shape)
    # Either bytes or float32.
    dtype = np.uint8 if len(sample.image) == math.prod(shape) else np.dtype("<f4")
    return np.frombuffer(sample.image, dtype).reshape(shape)


def health_page(result: HealthReport) -> RenderableType:
    """Draw how well a model does, and what has changed."""
    lines: list[RenderableType] = [_accuracies(result), _quantities(result)]
    if result.lately is not None and result.first is None:
        lines.append(Text("Its first week is not complete, so only doubt is compared, with the golden pack."))
    if len(result.boards) > 1:
        lines.append(_boards(result))
    lines += [fault_line(one.host, one.host, one.fault) for one in result.boards if one.fault is not None]
    # Counts of a service that has stopped stay as good as they were.
    if result.until and (days := (datetime.now(UTC) - datetime.fromisoformat(result.until)).days) >= OLD_DAYS:
        lines.append(Text(f"The latest input was counted {days} days ago.", "yellow"))
    if result.uncounted:
        lines.append(Text(f"{count(result.uncounted, 'more input')} came too fast to be counted."))
    word, step = _CLOSING[result.state]
    lines.append(closing(" ".join([word, *result.reasons]), step, passed=result.passed))
    if result.samples:
        import numpy as np

        from edgemnist.ground.sheet import terminal_rows

        images = [image_of(one) for one in result.samples]
        if images[0].ndim == GREY:
            lines += [Text(row) for row in terminal_rows(np.stack(images))]
    return Group(*lines)


def _accuracies(result: HealthReport) -> RenderableType:
    page = table("accuracy", "inputs", "share", "95 %", prose=["accuracy"])
    for name, one in (
        ("golden pack, with labels", result.golden),
        ("first week, as its confidence says", result.first),
        ("lately, as its confidence says", result.lately),
        ("even draw, with labels", result.labelled),
    ):
        if one is not None:
            ends = "" if one.interval is None else f"{one.interval.low * 100:.1f}–{one.interval.high * 100:.1f}"
            page.add_row(name, f"{one.images:,}", percent(one.accuracy), ends)
    return page


def _quantities(result: HealthReport) -> RenderableType:
    page = table("quantity", "golden pack", "first week", "lately", "evidence")
    for one in result.quantities:
        loud = one.evidence is not None and one.evidence >= LOUD
        values = (value_of(one, value) for value in (one.golden, one.first, one.lately))
        page.add_row(one.name, *values, Text(evidence_of(one.evidence), "bold red" if loud else ""))
    return page


def evidence_of(log10: float | None) -> str:
    """Return evidence as a power of ten; empty for none."""
    # What has hardly any is 10^0, not 10^-0.
    return "" if log10 is None else f"10^{log10:z.0f}"


def value_of(one: Quantity, value: float | None) -> str:
    """Return a share in percent, or a mean with its unit."""
    if value is None:
        return ""
    return f"{value:.2f} {one.unit}" if one.unit else percent(value, 1)


def _boards(result: HealthReport) -> RenderableType:
    page = table("board", "", "inputs", "promised", "evidence", left=[""])
    for one in result.boards:
        if one.fault is None:
            accuracy = "" if one.accuracy is None else percent(one.accuracy)
            page.add_row(one.host, one.state or "", f"{one.images:,}", accuracy, evidence_of(one.evidence))
    return page
