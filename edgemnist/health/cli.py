"""`edgemnist health`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

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
    from edgemnist.console import show
    from edgemnist.errors import EXIT_GATE_MISSED
    from edgemnist.exports.outputs import PNG, check_output
    from edgemnist.health.places import places_here, places_on
    from edgemnist.health.run import assess
    from edgemnist.health.screen import health_page

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
