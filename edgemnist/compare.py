"""`edgemnist compare`: two models timed against each other, in turns, so that whatever drifts hits both alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, show, tables
from edgemnist.errors import EXIT_GATE_MISSED, check_range
from edgemnist.formatting import count, kilobytes, microseconds, percent
from edgemnist.progress import SILENT, Reporter

if TYPE_CHECKING:
    from edgemnist.bench.config import BenchConfig
    from edgemnist.exports import Exports
    from edgemnist.results.bench import PairResult

FEWEST_ROUNDS: Final = 3

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
    from edgemnist.exports.outputs import JSON, check_output

    check_output("--save", save, JSON)
    config = BenchConfig(
        threads=threads, batch_size=1, samples=samples, seconds=seconds, rounds=rounds, repeats=repeats, keras=False
    )
    reporter = TerminalReporter()
    opened = open_for(exports, (first, second), reporter)
    result = compare_models(opened, first, second, config, max_slowdown=max_slowdown, save=save, reporter=reporter)
    show(result, lambda: compare_page(result, opened.command("recommend")), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def compare_models(
    exports: Exports,
    first: str,
    second: str,
    config: BenchConfig,
    *,
    max_slowdown: float | None = None,
    save: Path | None = None,
    reporter: Reporter = SILENT,
) -> PairResult:
    """Measure two models side by side: names of the export directory or paths, with `@RUNTIME` or without.

    The first must not be slower than the second by more than `max_slowdown`, where that is given. `save` gets the raw
    samples, which the result that is returned lacks.

    Raises UsageError for fewer than three rounds, and whatever `Exports.model`, `measure_all` and `write_file` raise.
    """
    import msgspec

    from edgemnist.bench.baseline import compare_rounds
    from edgemnist.bench.config import Subject
    from edgemnist.bench.quality import host_warnings
    from edgemnist.bench.run import evaluation_images, latency, measure_all
    from edgemnist.machine import host_facts
    from edgemnist.results.bench import PairResult
    from edgemnist.storage import write_file

    check_range("--rounds", config.rounds, least=FEWEST_ROUNDS)
    check_range("--max-slowdown", max_slowdown, least=1)
    ours, theirs = (Subject(model=exports.model(name, reporter), threads=config.threads) for name in (first, second))
    if theirs.key == ours.key:
        # A file against itself shows how large the noise is.
        theirs = replace(theirs, model=replace(theirs.model, artifact=f"{theirs.model.artifact} again"))
    sides = (ours, theirs)
    measured = measure_all(sides, evaluation_images(exports), config, reporter)
    samples = [[one.report.samples for one in measured[side.key]] for side in sides]
    ratio = compare_rounds(*samples, limit=max_slowdown or 1.0, paired=True)
    host = host_facts()
    result = PairResult(
        host=host,
        first=latency(ours, measured[ours.key], config),
        second=latency(theirs, measured[theirs.key], config),
        ratio=ratio,
        max_slowdown=max_slowdown,
        passed=max_slowdown is None or ratio.verdict != "slower",
        rounds=config.rounds,
        warnings=host_warnings(host),
        samples_us={
            side.key: [[sample / 1e3 for sample in one] for one in taken]
            for side, taken in zip(sides, samples, strict=True)
        },
    )
    if save is not None:
        write_file(save, result.to_json().encode())
    return msgspec.structs.replace(result, samples_us=None)


def open_for(directory: Path | None, names: tuple[str, str], reporter: Reporter = SILENT) -> Exports:
    """Open the export directory that the names and the images are of.

    Two model files need none: without one, the images are those of the reference, and a notice says so. Raises what
    `Exports.open` raises.
    """
    from edgemnist.exports import Exports, find_exports, reference_directory
    from edgemnist.exports.manifest import MANIFEST_FILE
    from edgemnist.exports.models import split_name
    from edgemnist.runtimes import is_model_file

    place = find_exports(directory, fall_back=False)
    if not (place / MANIFEST_FILE).exists() and all(is_model_file(split_name(name)[0]) for name in names):
        reporter.notice(f"{place} has no {MANIFEST_FILE}, so the images are those of the reference.")
        return Exports.open(reference_directory())
    return Exports.open(directory, reporter)


def compare_page(result: PairResult, step: str = "") -> RenderableType:
    """Draw both sides of a pair, and what they say about each other. `step` is the command that comes next."""
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
