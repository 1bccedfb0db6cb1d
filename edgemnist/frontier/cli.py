"""`edgemnist frontier`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.console.tables import closing, quality, table, verdict
from edgemnist.formatting import count, kilobytes, microseconds, percent

if TYPE_CHECKING:
    from edgemnist.results.pipeline import FrontierResult

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
    recipe: options.Recipe = "standard",
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of every training.")] = 0,
    samples: Annotated[int, typer.Option("--samples", help="Minimum number of timed calls of each artifact.")] = 1000,
    data: options.Data = None,
    offline: options.Offline = False,
    directory: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Directory with one export directory for each network.")
    ] = Path("frontier"),
    json: options.Json = False,
) -> None:
    """Train several sizes, export each to int8 and int4, verify, bench, and show which are worth their bytes.

    Run it again after an interruption: it continues where it stopped.
    """
    from edgemnist.bench.config import BenchConfig
    from edgemnist.data.sources import find_dataset
    from edgemnist.frontier.run import DEFAULT_SIZES, FrontierConfig

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


def frontier_page(result: FrontierResult, directory: Path) -> RenderableType:
    """Draw a line for each artifact, from the smallest to the largest."""
    from edgemnist.exports.manifest import command

    columns = ("units", "artifact", "size", "accuracy", "flips", "p50", "best", "gate")
    page = table(*columns, left=["artifact", "best", "gate"])
    for row in result.rows:
        best = " ".join(word for word, holds in (("size", row.smallest), ("p50", row.fastest)) if holds)
        page.add_row(
            "-".join(map(str, row.hidden)),
            row.name,
            kilobytes(row.bytes),
            percent(row.accuracy),
            str(row.flips),
            microseconds(row.p50_us),
            best,
            verdict(passed=row.passed),
        )
    legend = Text(
        f"best: of those that passed, no other is as small (or as fast) and as accurate · recipe {result.recipe}, "
        f"seed {result.seed}, {result.images:,} test images · {directory / result.picture}",
        style="dim",
    )
    worthy = [row for row in result.rows if row.smallest]
    if not worthy:
        larger = 2 * max(row.hidden[0] for row in result.rows)
        step = f"edgemnist frontier --recipe best --size {larger}"
        last = closing("No network passed its gate.", step, passed=False)
    else:
        step = command("recommend", directory / worthy[0].directory)
        last = closing(f"Worth their bytes: {len(worthy)} of {count(len(result.rows), 'artifact')}.", step)
    return Group(page, *quality(result.warnings), legend, last)
