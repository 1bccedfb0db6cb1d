"""`edgemnist search`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED

app = command_app()


@app.command(epilog="Example: edgemnist search --accuracy 99 --max-bytes 16k --max-ram 2k --minutes 60")
def search(
    *,
    accuracy: Annotated[
        str | None,
        typer.Option("--accuracy", metavar="PERCENT", help="Lowest accuracy to accept on test images, such as 99."),
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="SIZE", help="Most bytes of weights, such as 16k.")
    ] = None,
    max_ram: Annotated[
        str | None, typer.Option("--max-ram", metavar="SIZE", help="Most bytes of RAM of the C file, such as 2k.")
    ] = None,
    max_p50: Annotated[
        str | None, typer.Option("--max-p50", metavar="TIME", help="Longest median time for one image, such as 2us.")
    ] = None,
    on: options.On = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", show_default="64, or what --minutes allow", help="Networks to train briefly."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            show_default="30, or no limit with --trials",
            help="Minutes to spend on them; training the best ones takes more time.",
        ),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            "--workers",
            metavar="N|auto|ray://HOST:PORT",
            help="Trainings at a time: N here, or as many as a Ray cluster runs, on this machine (auto) or elsewhere.",
        ),
    ] = "1",
    recipe: Annotated[str, typer.Option("--recipe", help="See edgemnist train.")] = "standard",
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed tries the same networks.")] = 0,
    data: options.Data = None,
    offline: options.Offline = False,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    directory: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Directory with one export directory for each of the best.")
    ] = Path("search"),
    json: options.Json = False,
) -> None:
    """Find the smallest, fastest and most accurate networks within limits, and export them; exit 1 if none fits.

    Run it again after an interruption, however it ended: it continues where it stopped.
    """
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter, quiet_libraries
    from edgemnist.data.sources import find_dataset
    from edgemnist.search.entry import SEARCH
    from edgemnist.search.screen import search_page

    SEARCH.load()
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.search.cluster import parse_workers
    from edgemnist.search.limits import Limits
    from edgemnist.search.run import SearchConfig

    limits = Limits.of(accuracy=accuracy, max_bytes=max_bytes, max_ram=max_ram, max_p50=max_p50)
    board = BoardAddress.of(options.only("--on", on), root=root, ssh_config=ssh_config) if on else None
    config = SearchConfig(
        limits=limits, trials=trials, minutes=minutes, recipe=recipe, epochs=epochs, seed=seed, board=board
    )
    reporter = TerminalReporter(lines=["Search"])
    with quiet_libraries():
        crew = parse_workers(workers)
        try:
            dataset = find_dataset(data, download=not offline, reporter=reporter)
            result = SEARCH.load()(dataset, config, directory, crew, reporter)
        finally:
            crew.close()
    show(result, lambda: search_page(result, directory), json=json)
    if not result.fits:
        raise typer.Exit(EXIT_GATE_MISSED)
