"""`edgemnist health`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import command_app, options, show
from edgemnist.console.tables import closing, fault_line, table
from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.formatting import percent

if TYPE_CHECKING:
    from edgemnist.results.samples import HealthReport

app = command_app()


@app.command(epilog="Example: edgemnist health · edgemnist health --on pi@kitchen.local --on pi@door.local")
def health(
    *,
    samples: Annotated[
        list[str] | None,
        typer.Option(
            "--samples",
            metavar="DIR|FILE",
            show_default="samples",
            help="Directory of --collect, or file of --health. Repeatable; with --on, its path on each board.",
        ),
    ] = None,
    on: options.OnEach = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", metavar="FILE", help="Boards from a fleet.toml, in addition to --on.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Write samples of what has changed as a PNG.")
    ] = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """Tell whether the model is still as good as it was: from counts of what it answers, and labels if there are any.

    Doubt and ink are compared with the first week's. Exit 1 is an alarm: something has changed, with at most one false
    alarm in 100,000 images, however often you look. Without labels the accuracy is an estimate from the model's
    own confidences, and misses errors that the model is certain about.
    """
    from edgemnist.exports.outputs import PNG, check_output
    from edgemnist.health.run import assess, places_here, places_on

    options.check_png(sheet)
    named = samples or ["samples"]
    check_output("--sheet", sheet, PNG, inputs=[Path(one) for one in named])
    if on or inventory is not None:
        from edgemnist.deploy.run import read_inventory
        from edgemnist.deploy.target import BoardAddress

        targets = [BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in on or ()]
        if inventory is not None:
            targets += read_inventory(inventory, root=root, ssh_config=ssh_config)
        places, faults = places_on(targets, options.only("--samples", named))
    else:
        places, faults = places_here([Path(one) for one in named]), []
    result = assess(places, faults)
    if sheet is not None and result.samples:
        from edgemnist.images.sheet import strip_png
        from edgemnist.storage import write_file

        rows = [[list(one.image[start : start + 28]) for start in range(0, 784, 28)] for one in result.samples]
        write_file(sheet, strip_png(rows))
    show(result, lambda: health_page(result), json=json)
    codes = [one.fault.exit_code for one in result.boards if one.fault is not None]
    if codes or not result.passed:
        raise typer.Exit(max([EXIT_GATE_MISSED, *codes] if not result.passed else codes))


LOUD: Final = 5.0
"""Power of ten of evidence at which the alarm is given."""


def health_page(result: HealthReport) -> RenderableType:
    """Draw how well a model does, and what has changed."""
    lines: list[RenderableType] = [_accuracies(result), _quantities(result)]
    if result.lately is None:
        lines.append(Text("Nothing has been answered yet."))
    elif result.first is None:
        lines.append(Text("Its first week is not complete, so only doubt is compared, with the golden pack."))
    if len(result.boards) > 1:
        lines.append(_boards(result))
    lines += [fault_line(one.host, one.host, one.fault) for one in result.boards if one.fault is not None]
    if result.passed:
        lines.append(closing("Nothing has changed beyond chance.", ""))
        return Group(*lines)
    lines.append(closing(f"Changed: {', '.join(result.changed)}.", "edgemnist review", passed=False))
    if result.samples:
        import numpy as np

        from edgemnist.arrays import IMAGE_SIDE
        from edgemnist.images.sheet import terminal_rows

        images = np.stack([np.frombuffer(one.image, np.uint8) for one in result.samples])
        lines += [Text(row) for row in terminal_rows(images.reshape(-1, IMAGE_SIDE, IMAGE_SIDE))]
    return Group(*lines)


def _accuracies(result: HealthReport) -> RenderableType:
    from edgemnist.health.run import ACCURACY, accuracies

    page = table(*ACCURACY, prose=["accuracy"])
    for row in accuracies(result):
        page.add_row(*row)
    return page


def _quantities(result: HealthReport) -> RenderableType:
    from edgemnist.health.run import QUANTITIES, quantities

    page = table(*QUANTITIES)
    for one, (*cells, evidence) in zip(result.quantities, quantities(result), strict=True):
        loud = one.evidence is not None and one.evidence >= LOUD
        page.add_row(*cells, Text(evidence, "bold red" if loud else ""))
    return page


def _boards(result: HealthReport) -> RenderableType:
    from edgemnist.health.run import evidence_of

    page = table("board", "images", "estimated", "evidence")
    for one in result.boards:
        if one.fault is None:
            accuracy = "" if one.accuracy is None else percent(one.accuracy)
            page.add_row(one.host, f"{one.images:,}", accuracy, evidence_of(one.evidence))
    return page
