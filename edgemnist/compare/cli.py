"""`edgemnist compare`: its options and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.results.bench import PairResult

app = command_app()


@app.command(
    epilog="Example: edgemnist compare tflite-int8 tflite-int8@integer · edgemnist compare mine.onnx tflite-int8"
)
def compare(
    first: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="An artifact, or any model file.")],
    second: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="What to compare it with.")],
    *,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            metavar="RATIO",
            help="Exit 1 if the first is slower by more than both this ratio and the noise.",
        ),
    ] = None,
    threads: options.Threads = 1,
    samples: options.Samples = 1000,
    seconds: options.Seconds = 1.0,
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds, each with a fresh process for each model.")] = 10,
    repeats: options.Repeats = 1,
    save: options.Save = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time two models in turns, so that whatever drifts hits both alike, and print their ratio."""
    from edgemnist.bench.config import BenchConfig
    from edgemnist.compare.run import compare as run
    from edgemnist.compare.run import open_for
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.exports.outputs import JSON, check_output

    check_output("--save", save, JSON)
    config = BenchConfig(
        threads=threads, batch_size=1, samples=samples, seconds=seconds, rounds=rounds, repeats=repeats, keras=False
    )
    reporter = TerminalReporter()
    opened = open_for(exports, (first, second), reporter)
    result = run(opened, first, second, config, max_slowdown=max_slowdown, save=save, reporter=reporter)
    show(result, lambda: compare_page(result, opened.command("recommend")), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def compare_page(result: PairResult, step: str = "") -> RenderableType:
    """Draw both sides of a pair, and what they say about each other. `step` is the command that comes next."""
    from rich.console import Group
    from rich.text import Text

    from edgemnist.console import tables
    from edgemnist.formatting import count, kilobytes, microseconds, percent
    from edgemnist.results.bench import subject_key

    page = tables.table("artifact", "runtime", "p50", "p90", "p99", "min", "size", left=["runtime"])
    sides, ratio = (result.first, result.second), result.ratio
    for one in sides:
        p50, *others = map(microseconds, (one.p50_us, one.p90_us, one.p99_us, one.min_us))
        name = subject_key(one.name, one.runtime, one.threads)
        page.add_row(name, one.runtime, Text(p50, "bold"), *others, kilobytes(one.bytes))
    if ratio.low <= 1 <= ratio.high:
        says = f"no difference beyond the noise of {percent((ratio.high - ratio.low) / 2, 1)}"
    else:
        says = "slower" if ratio.low > 1 else "faster"
    sentence = f"{result.first.name} takes {tables.with_interval(ratio)} the time of {result.second.name}: {says}."
    warnings = [*result.warnings, *(f"{one.name}: {'; '.join(one.warnings)}" for one in sides if one.warnings)]
    return Group(
        Text(f"Timed in turns, {count(result.rounds, 'round')}, each model in a fresh process."),
        page,
        tables.host_line(result.host),
        *tables.quality(warnings),
        tables.closing(sentence, step, passed=result.passed),
    )
