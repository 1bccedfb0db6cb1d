"""`edgemnist bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options
from edgemnist.errors import EXIT_GATE_MISSED, UsageError

_COMPARING = "Comparing"


@app.command(epilog="Example: edgemnist bench tflite-int8 onnx-int8 --save bench.json")
def bench(
    artifacts: options.Artifacts = None,
    *,
    threads: options.ThreadRange = "1",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a call, for the throughput.")] = 1000,
    samples: Annotated[int, typer.Option("--samples", help="Timed calls, at the least.")] = 1000,
    seconds: Annotated[float, typer.Option("--seconds", help="Timed seconds, at the least.")] = 1.0,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", show_default="3, or 10 with --pair", help="Rounds over all artifacts, each in fresh processes."
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", help="How often to measure a disturbed round again before it is marked.")
    ] = 1,
    keras: Annotated[bool, typer.Option("--keras/--no-keras", help="Measure Keras too, where it is installed.")] = True,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the result with its raw samples.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="Compare with a result of --save; exit 1 where slower.",
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            metavar="RATIO",
            show_default="1.05, none with --pair",
            help="Ratio of p50 up to which a slowdown is let pass; one within the noise always is.",
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    pair: Annotated[
        bool,
        typer.Option(
            "--pair",
            help="Measure two artifacts, or model files of any origin, in turns, and print their ratio.",
            rich_help_panel=_COMPARING,
        ),
    ] = False,
    slow_down: Annotated[
        float,
        typer.Option(
            "--slow-down",
            metavar="RATIO",
            help="Slow every call down, to see that --baseline notices it on this machine.",
            rich_help_panel=_COMPARING,
        ),
    ] = 1.0,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time one image and a batch, for each artifact in its runtime and for Keras, each in a fresh process."""
    import msgspec

    from edgemnist.bench.compare import DEFAULT_MAX_SLOWDOWN, check_max_slowdown, compare_with_baseline
    from edgemnist.bench.config import BenchConfig
    from edgemnist.bench.pair import ROUNDS as PAIR_ROUNDS
    from edgemnist.bench.pair import pair as run_pair
    from edgemnist.bench.record import read_baseline, save_bench
    from edgemnist.bench.run import bench as run
    from edgemnist.exports import find_exports, keeps_results
    from edgemnist.render import show
    from edgemnist.render.bench import bench_page, pair_page
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.storage import write_file

    if pair and baseline is not None:
        raise UsageError("--pair and --baseline are two ways to compare", hint="Choose one of them.")
    check_max_slowdown(max_slowdown)
    first, last = BenchConfig.parse_threads(threads)
    config = BenchConfig(
        threads=first,
        threads_to=last,
        batch_size=batch_size,
        samples=samples,
        seconds=seconds,
        rounds=rounds if rounds is not None else PAIR_ROUNDS if pair else 3,
        repeats=repeats,
        keras=keras,
        slowdown=slow_down,
        keep_samples=save is not None or baseline is not None,
    )
    earlier = read_baseline(baseline) if baseline is not None else None
    reporter = TerminalReporter()
    directory = find_exports(exports, reporter)
    if pair:
        paired = run_pair(directory, artifacts or [], config, max_slowdown=max_slowdown, reporter=reporter)
        show(paired, lambda: pair_page(paired), json=json)
        if not paired.passed:
            raise typer.Exit(EXIT_GATE_MISSED)
        return
    result = run(directory, artifacts, config, reporter)
    if earlier is not None and baseline is not None:
        comparison = compare_with_baseline(
            result, earlier, file=baseline, max_slowdown=max_slowdown or DEFAULT_MAX_SLOWDOWN
        )
        result = msgspec.structs.replace(result, baseline=comparison)
    if save is not None:
        write_file(save, result.to_json().encode())
    result = msgspec.structs.replace(result, samples_us=None, warmup_us=None)
    if slow_down == 1 and keeps_results(directory):
        save_bench(directory, result, reporter)
    show(result, lambda: bench_page(result), json=json)
    if result.baseline is not None and not result.baseline.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
