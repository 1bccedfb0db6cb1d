"""`edgemnist bench`: its options and its page."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, show
from edgemnist.console.tables import (
    closing,
    closing_of_boards,
    fault_line,
    host_line,
    quality,
    table,
    throttle_note,
    with_interval,
)
from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.formatting import count, kilobytes, microseconds, percent, ratio
from edgemnist.results.bench import BaselineComparison, BenchResult, Latency, subject_key
from edgemnist.results.boards import FleetBenchResult

app = command_app()


@app.command(epilog="Example: edgemnist bench tflite-int8@litert tflite-int8@integer --save bench.json")
def bench(
    context: typer.Context,
    artifacts: options.Models = None,
    *,
    threads: options.ThreadRange = "1",
    batch_size: Annotated[
        int, typer.Option("--batch-size", help="Images per call, for the throughput.", rich_help_panel=options.ADVANCED)
    ] = 1000,
    samples: options.Samples = 1000,
    seconds: options.Seconds = 1.0,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            show_default="3; 15 with --save and --baseline",
            help="Rounds over all models, each in fresh processes.",
        ),
    ] = None,
    repeats: options.Repeats = 1,
    keras: Annotated[
        bool | None,
        typer.Option(
            "--keras/--no-keras",
            show_default="where it is installed and no artifact is named",
            help="Measure Keras too, to show the speed-up over it.",
        ),
    ] = None,
    save: options.Save = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="Compare with a file that --save wrote; exit 1 if slower.",
            rich_help_panel="Comparing",
        ),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            metavar="RATIO",
            show_default="1.05",
            help="Largest ratio of p50 that passes; a slowdown within the noise always does.",
            rich_help_panel="Comparing",
        ),
    ] = None,
    cold_cache: Annotated[
        bool,
        typer.Option(
            "--cold-cache", help="Measure a cold start from the disk, too (Linux).", rich_help_panel=options.ADVANCED
        ),
    ] = False,
    slow_down: Annotated[
        float,
        typer.Option(
            "--slow-down",
            metavar="RATIO",
            help="Slow down every call, to check that --baseline notices it on this machine.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = 1.0,
    on: options.OnEach = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time one image and a batch, for each artifact in its runtime and for Keras, each in a fresh process."""
    from edgemnist.bench.baseline import ROUNDS
    from edgemnist.bench.config import BenchConfig
    from edgemnist.bench.run import bench_against
    from edgemnist.exports import Exports
    from edgemnist.exports.outputs import JSON, check_output

    check_output("--save", save, JSON)
    if on:
        options.refuse_with_on(context, "baseline", "max_slowdown", "exports")
        from edgemnist.deploy.remote import bench_on
        from edgemnist.deploy.target import BoardAddress
        from edgemnist.storage import write_file

        # The board checks the words: it may have more CPUs than this machine.
        words = options.given_words(context, without=options.HERE)
        fleet = bench_on([BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in on], words)
        # A file that holds figures is not replaced by one of failures.
        if save is not None and any(board.result is not None for board in fleet.boards):
            write_file(save, fleet.to_json().encode())
        show(fleet, lambda: fleet_bench_page(fleet), json=json, host="A board")
        if codes := [board.fault.exit_code for board in fleet.boards if board.fault is not None]:
            raise typer.Exit(max(codes))
        return
    first, last = BenchConfig.parse_threads(threads)
    compared = save is not None or baseline is not None
    config = BenchConfig(
        threads=first,
        threads_to=last,
        batch_size=batch_size,
        samples=samples,
        seconds=seconds,
        # To tell two runs apart takes more than to look at one.
        rounds=rounds if rounds is not None else ROUNDS if compared else BenchConfig().rounds,
        repeats=repeats,
        keras=keras,
        slowdown=slow_down,
        cold_cache=cold_cache,
        keep_samples=compared,
    )
    reporter = TerminalReporter()
    opened = Exports.open(exports, reporter)
    result = bench_against(
        opened,
        artifacts,
        config,
        baseline=baseline,
        max_slowdown=max_slowdown,
        save=save,
        reporter=reporter,
    )
    show(result, lambda: bench_page(result, opened.command("recommend")), json=json)
    if result.baseline is not None and not result.baseline.passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def bench_page(result: BenchResult, step: str = "") -> RenderableType:
    """Draw latency, throughput and cost of each model, fastest first; the last line names it, and the next `step`."""
    # No column for the runtime, which the name tells: on a terminal of 80 columns the figures need the room.
    compared = any(one.speedup is not None for one in result.results)
    latency = table("artifact", "p50", "p90", "p99", "p99.9", "mean", "min", *(["vs Keras"] if compared else []))
    cost = table("artifact", "images/s", "first call", "load", "cold start", "peak RSS", "size")
    steps = table("artifact", "prepare", "invoke", "finish", "Python")
    ordered = sorted(result.results, key=attrgetter("p50_us"))
    for one in ordered:
        p50, *others = map(microseconds, (one.p50_us, one.p90_us, one.p99_us, one.p999_us, one.mean_us, one.min_us))
        latency.add_row(_name(one), Text(p50, "bold"), *others, *([ratio(one.speedup)] if compared else []))
        cost.add_row(
            _name(one),
            f"{one.throughput_per_s:,.0f}",
            microseconds(one.first_call_us),
            f"{one.load_ms:,.1f} ms",
            f"{one.cold_start_ms:,.0f} ms",
            "–" if one.peak_rss_mb is None else f"{one.peak_rss_mb:,.0f} MB",
            kilobytes(one.bytes),
        )
        if one.steps is not None:
            times = (one.steps.prepare_us, one.steps.invoke_us, one.steps.finish_us, one.steps.overhead_us)
            steps.add_row(_name(one), *map(microseconds, times))
    parts: list[RenderableType] = [
        Text(
            f"One image, {_threads(result.results)}, fresh processes, "
            f"at least {min(one.samples for one in result.results):,} timed calls each."
        ),
        latency,
        Text(f"Images a second in batches of {result.results[0].batch_size:,}."),
        cost,
    ]
    if steps.row_count:
        parts += [Text("Where the time of a call goes: each step by itself, and the rest."), steps]
    cold = [(_name(one), one.cold_cache_start_ms) for one in result.results if one.cold_cache_start_ms is not None]
    if cold:
        parts.append(Text(f"Cold start from the disk: {', '.join(f'{name} {ms:,.0f} ms' for name, ms in cold)}."))
    if result.harness_us is not None:
        parts.append(
            Text(f"The measurement itself accounts for {result.harness_us:.2f} µs of each latency.", style="dim")
        )
    parts += [host_line(result.host), *quality(_warnings(result))]
    if result.baseline is None:
        last = closing(f"{_name(ordered[0])} is the fastest: {microseconds(ordered[0].p50_us)} a call (p50).", step)
    else:
        parts.append(_baseline(result.baseline))
        slower = ", ".join(one.name for one in result.baseline.changes if one.ratio.verdict == "slower")
        last = closing(f"Nothing is slower than in {result.baseline.file}.", step)
        if not result.baseline.passed:
            last = closing(f"Slower than in {result.baseline.file}: {slower}.", step, passed=False)
    return Group(*parts, last)


def fleet_bench_page(result: FleetBenchResult) -> RenderableType:
    """Draw the boards side by side: p50 and p99 of each artifact, a column a board."""
    measured = [(board.host, board.result) for board in result.boards if board.result is not None]
    faults = [fault_line(board.host, board.host, board.fault) for board in result.boards if board.fault is not None]
    hosts = [host for host, _ in measured]
    failed = [board.host for board in result.boards if board.fault is not None]
    last = closing_of_boards(hosts, failed, f"edgemnist verify --on {(hosts or failed)[0]}")
    if not measured:
        return Group(*faults, last)
    page = table("artifact", "", *hosts, left=[""])
    figures = [{_name(one): one for one in found.results} for _, found in measured]
    for name in dict.fromkeys(name for found in figures for name in found):
        for label, value in (("p50", attrgetter("p50_us")), ("p99", attrgetter("p99_us"))):
            cells = [microseconds(value(found[name])) if name in found else "" for found in figures]
            page.add_row(name if label == "p50" else "", label, *cells)
    notes = [throttle_note(board.host, board.throttled) for board in result.boards if board.throttled]
    warnings = [f"{host}: {warning}" for host, found in measured for warning in _warnings(found)]
    hosts_facts = [Text.assemble(f"{host}: ", host_line(found.host)) for host, found in measured]
    return Group(
        Text("One image, each board on its own."), page, *faults, *notes, *hosts_facts, *quality(warnings), last
    )


def _baseline(comparison: BaselineComparison) -> RenderableType:
    page = table("artifact", "then", "now", "machine", "ratio [95 %]", "verdict", left=["verdict"])
    colors = {"slower": "bold red", "faster": "green", "unclear": "yellow", "same": ""}
    for change in comparison.changes:
        page.add_row(
            change.name,
            microseconds(change.baseline_p50_us),
            microseconds(change.p50_us),
            "–" if change.machine is None else f"{change.machine:.3f}×",
            with_interval(change.ratio),
            Text(change.ratio.verdict, style=colors[change.ratio.verdict]),
        )
    heading = (
        f"Against {comparison.file}: slower means by more than both {comparison.max_slowdown:g}× and the noise. "
        "The ratio is that of p50, corrected for the machine: how long the same fixed work took, now over then."
    )
    noise = ", ".join(f"{one.name} ± {percent((one.ratio.high - one.ratio.low) / 2, 1)}" for one in comparison.changes)
    return Group(Text(heading), page, Text(f"Noise: {noise}."), *quality(comparison.warnings))


def _warnings(result: BenchResult) -> list[str]:
    """Return what is to be said about the quality of a run, a line for the machine and one for each model at most."""
    return [*result.warnings, *(f"{_name(one)}: {'; '.join(one.warnings)}" for one in result.results if one.warnings)]


def _name(one: Latency) -> str:
    return subject_key(one.name, one.runtime, one.threads)


def _threads(results: list[Latency]) -> str:
    counts = sorted({one.threads for one in results})
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} threads"
    return count(counts[0], "thread")
