"""`edgemnist search`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.console.tables import closing, quality, table
from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.formatting import count, microseconds, percent
from edgemnist.registry import Entry, Package

if TYPE_CHECKING:
    from edgemnist.results.pipeline import SearchResult

SEARCH: Final = Entry(
    target="edgemnist.search.run:search",
    summary="A search",
    requires=(
        Package("optuna", "optuna"),
        Package("tensorflow", "tensorflow"),
        Package("keras", "keras"),
        Package("matplotlib", "matplotlib"),
    ),
    extra="train",
)

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
    recipe: options.Recipe = "standard",
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
    from edgemnist.data.sources import find_dataset

    run = SEARCH.load()
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.search.limits import Limits
    from edgemnist.search.run import SearchConfig
    from edgemnist.search.workers import parse_workers

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
            result = run(dataset, config, directory, crew, reporter)
        finally:
            crew.close()
    show(result, lambda: search_page(result, directory), json=json)
    if not result.fits:
        raise typer.Exit(EXIT_GATE_MISSED)


def search_page(result: SearchResult, directory: Path) -> RenderableType:
    """Draw a line for each of the best networks, and what comes next."""
    from edgemnist.exports.manifest import command

    page = table("network", "bytes", "RAM", "accuracy", "p50", "best in", prose=["network", "best in"])
    for row in result.rows:
        page.add_row(
            row.network,
            f"{row.bytes:,}",
            f"{row.ram_bytes:,}",
            percent(row.accuracy),
            microseconds(row.p50_us),
            ", ".join(row.best),
        )
    legend = Text(
        f"{count(result.trained, 'network')} tried ({result.stopped:,} stopped early, {result.rejected:,} more beyond "
        f"a limit), chosen by {result.selection_images:,} training images; accuracy on {result.images:,} test images; "
        f"recipe {result.recipe}, seed {result.seed}; p50 of {result.measured_on} · {directory / result.picture}",
        style="dim",
    )
    missed = [Text(f"{row.network}: {'; '.join(row.misses)}.") for row in result.rows if row.misses]
    fitting = [row for row in result.rows if not row.misses]
    if fitting:
        step = command("recommend", directory / fitting[0].directory)
        last = closing(f"Within the limits: {len(fitting)} of {count(len(result.rows), 'network')}.", step)
    else:
        nearest = result.rows[0]
        last = closing(
            f"Nothing fits. The nearest is {nearest.network}.", "wider limits, or more --minutes.", passed=False
        )
    return Group(page, *quality(result.warnings), legend, *missed, last)
