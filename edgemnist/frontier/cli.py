"""`edgemnist frontier`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist frontier --recipe best --size 64 --size 128 --size 512")
def frontier(
    *,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="UNITS",
            show_default="16, 32, 64, 128, 256, 512",
            help="Units of a network's hidden layers, such as 64 or 128,64; repeat for each network.",
        ),
    ] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="See edgemnist train.")] = "standard",
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option("--seed", help="Of every training.")] = 0,
    samples: Annotated[int, typer.Option("--samples", help="Timed calls of each artifact, at the least.")] = 1000,
    data: options.Data = None,
    offline: options.Offline = False,
    directory: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Directory with one export directory for each network.")
    ] = Path("frontier"),
    json: options.Json = False,
) -> None:
    """Train several sizes, export each to int8 and int4, verify, bench, and show which are worth their bytes.

    Run it again after an interruption: it goes on where it was.
    """
    from edgemnist.bench.config import BenchConfig
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter, quiet_libraries
    from edgemnist.data.sources import find_dataset
    from edgemnist.frontier.run import DEFAULT_SIZES, FrontierConfig
    from edgemnist.frontier.screen import frontier_page

    config = FrontierConfig(
        sizes=tuple(options.units([one], "--size") for one in size) if size else DEFAULT_SIZES,
        recipe=recipe,
        epochs=epochs,
        seed=seed,
        bench=BenchConfig(samples=samples, keras=False),
    )
    reporter = TerminalReporter()
    dataset = find_dataset(data, download=not offline, reporter=reporter)
    with quiet_libraries():
        from edgemnist.frontier.run import frontier as run

        result = run(dataset, config, directory, reporter)
    show(result, lambda: frontier_page(result, directory), json=json)
