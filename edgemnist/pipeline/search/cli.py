"""`edgemnist search`: its options and its page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import closing, disturbed, quality, table
from edgemnist.ground.formatting import count, microseconds, percent
from edgemnist.ground.registry import Entry, Package
from edgemnist.ground.results.verdict import UNKNOWN

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import SearchResult

SEARCH: Final = Entry(
    target="edgemnist.pipeline.search.run:search",
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


@app.command(
    epilog="Example: edgemnist search --accuracy 99 --max-bytes 16k --max-ram 2k --minutes 60 · "
    "edgemnist search --network mlp:14:64:8bit --network mlp:14:64:4bit"
)
def search(
    *,
    accuracy: str | None = option("--accuracy PERCENT", "Lowest accuracy to accept on the test part, such as 99."),
    max_bytes: str | None = option("--max-bytes SIZE", "Most bytes of weights of the C file, such as 16k."),
    max_ram: str | None = option("--max-ram SIZE", "Most bytes of RAM of the C file, such as 2k."),
    network: list[str] | None = option(
        "--network NETWORK", "Make this one instead of searching, as `train` takes it; repeatable."
    ),
    trials: int | None = option("--trials", "Networks to train briefly.", shown="64, or what --minutes allow"),
    minutes: float | None = option(
        "--minutes",
        "Minutes to spend on them; training the best ones takes more time.",
        shown="30, or no limit with --trials",
    ),
    workers: str = option(
        "--workers N|auto|ray://HOST:PORT",
        "Trainings at a time: N here, or as many as a Ray cluster runs, on this machine (auto) or elsewhere.",
        "1",
    ),
    recipe: options.Recipe = "standard",
    epochs: options.Epochs = None,
    seed: int = option("--seed", "For the choice of networks and their trainings.", 0),
    data: options.Data = None,
    shape: options.Input = None,
    prepare: options.Prepare = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    directory: Path = option("--to DIR", "Directory with one export directory for each of the best.", Path("search")),
    json: options.Json = False,
) -> None:
    """Find the smallest, fastest and most accurate networks within limits, and export them; exit 1 if none fits.

    Run it again after an interruption, however it ended: it continues where it stopped.
    """
    from edgemnist.pipeline.data.sources import find_dataset

    run = SEARCH.load()
    from edgemnist.pipeline.search.limits import Limits
    from edgemnist.pipeline.search.run import SearchConfig
    from edgemnist.pipeline.search.workers import parse_workers
    from edgemnist.pipeline.verify.gate import gates_of

    configured = partial(
        SearchConfig,
        limits=Limits.of(accuracy=accuracy, max_bytes=max_bytes, max_ram=max_ram).within(gates_of(None)),
        trials=trials,
        minutes=minutes,
        recipe=recipe,
        epochs=epochs,
        seed=seed,
        networks=tuple(network or ()),
    )
    if data is None:
        # What is wrong is said before anything is downloaded.
        configured()
    reporter = TerminalReporter(lines=["Search"])
    with quiet_libraries():
        crew = parse_workers(workers)
        try:
            read = partial(find_dataset, shape=options.input_shape(shape), prepare=prepare, skip_broken=skip_broken)
            dataset = read(data, download=not offline, reporter=reporter)
            result = run(dataset, configured(task=dataset.task), directory, crew, reporter)
        finally:
            crew.close()
    show(result, lambda: search_page(result, directory), json=json)
    if not result.fits:
        raise typer.Exit(EXIT_GATE_MISSED)


def search_page(result: SearchResult, directory: Path) -> RenderableType:
    """Draw a line for each of the best networks, and what comes next."""
    from edgemnist.model.exports.manifest import command
    from edgemnist.model.exports.models import split_name

    page = table("network", "bytes", "RAM", "accuracy", "p50", "best in", prose=["network", "best in"])
    for row in result.rows:
        page.add_row(
            row.network,
            f"{row.bytes:,}",
            f"{row.ram_bytes:,}",
            percent(row.accuracy),
            microseconds(row.p50_us, tainted=row.tainted),
            ", ".join(row.best),
        )
    files = " and ".join(dict.fromkeys(split_name(row.name)[0] for row in result.rows))
    tried = ""
    if result.trained:
        tried = f"{count(result.trained, 'network')} tried ({result.stopped:,} stopped early, {result.rejected:,} more "
        tried += f"beyond a limit), chosen by {result.selection_images:,} training inputs; "
    legend = Text(
        f"Each row is one file, {files}. {tried}accuracy on {result.images:,} test inputs; recipe {result.recipe}, "
        f"seed {result.seed}; p50 of {result.measured_on} · {directory / result.picture}",
        style="dim",
    )
    missed = [Text(f"{row.network}: {'; '.join(row.misses)}.") for row in result.rows if row.misses]
    fitting = [row for row in result.rows if not row.misses]
    if fitting:
        step = command("bench", directory / fitting[0].directory)
        last = closing(f"Within the limits: {len(fitting)} of {count(len(result.rows), 'network')}.", step)
    else:
        nearest = result.rows[0]
        known = nearest.verdict.outcome != UNKNOWN
        said = f"{'Nothing fits' if known else 'Nothing is known to fit'}. The nearest is {nearest.network}."
        step = "wider limits, or more --minutes." if known else "more data to evaluate on."
        last = closing(said, step, passed=False)
    marked = disturbed(row.tainted for row in result.rows)
    return Group(page, *marked, *quality(result.warnings), legend, *missed, last)
