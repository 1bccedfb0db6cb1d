"""`edgemnist bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemnist.cli import app, options
from edgemnist.errors import EXIT_GATE_MISSED, UsageError

if TYPE_CHECKING:
    from edgemnist.deploy.target import Target

_COMPARING = "Comparing"
_SCENARIOS = "Scenarios"


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
            "--rounds",
            show_default="3; 10 with --pair; 15 with --save and --baseline",
            help="Rounds over all artifacts, each in fresh processes.",
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", help="How often to measure a disturbed round again before it is marked.")
    ] = 1,
    keras: Annotated[
        bool | None,
        typer.Option(
            "--keras/--no-keras",
            show_default="where it is installed and no artifact is named",
            help="Measure Keras too, which gives the speed-up over it.",
        ),
    ] = None,
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
    cold_cache: Annotated[
        bool, typer.Option("--cold-cache", help="Measure a cold start from the disk, too (Linux).")
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
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            metavar="NAME",
            help="In MLPerf's terms: single-stream (p90 with its early-stopping bound), offline (batches of 1 to "
            "1,024), server (the highest rate that holds a p99 limit).",
            rich_help_panel=_SCENARIOS,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", metavar="R", help="server: try this many queries a second, too.", rich_help_panel=_SCENARIOS
        ),
    ] = None,
    p99_limit: Annotated[
        float | None,
        typer.Option(
            "--p99-limit",
            metavar="MS",
            show_default="1",
            help="server: what 99 % of the queries have to hold.",
            rich_help_panel=_SCENARIOS,
        ),
    ] = None,
    duty_cycle: Annotated[
        str | None,
        typer.Option(
            "--duty-cycle",
            metavar="N/s",
            help="What a call costs when the board sleeps in between, for --seconds.",
            rich_help_panel=_SCENARIOS,
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option("--on", metavar="HOST", help="Run on a board, over ssh; repeat to put several side by side."),
    ] = None,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time one image and a batch, for each artifact in its runtime and for Keras, each in a fresh process."""
    from edgemnist.bench.command import Request, passed, run_request
    from edgemnist.bench.config import BenchConfig
    from edgemnist.bench.scenarios import choose_scenario
    from edgemnist.deploy.target import Target
    from edgemnist.exports import find_exports
    from edgemnist.render import show
    from edgemnist.render.benchmarks import benchmark_page
    from edgemnist.render.progress import TerminalReporter

    played = choose_scenario(scenario, rate=rate, p99_limit_ms=p99_limit, duty_cycle=duty_cycle)
    if on:
        if pair or baseline is not None:
            raise UsageError("--on goes with neither --pair nor --baseline", hint="Run them on the board itself.")
        options.refuse_with_on({"--max-slowdown": max_slowdown, "--exports": exports})
        # The board checks them: it may have more CPUs than this machine.
        settings = {"--threads": threads, "--batch-size": batch_size, "--samples": samples, "--seconds": seconds}
        settings |= {"--rounds": rounds, "--repeats": repeats, "--slow-down": slow_down}
        asked = {"--scenario": scenario, "--rate": rate, "--p99-limit": p99_limit, "--duty-cycle": duty_cycle}
        given = {"--cold-cache": cold_cache, "--keras": keras, "--no-keras": keras is False}
        flags = [flag for flag, is_given in given.items() if is_given]
        words = [*(artifacts or ()), *options.words(settings | asked), *flags]
        targets = [Target.of(host, root=root, ssh_config=ssh_config) for host in on]
        bench_on_boards(targets, words, scenario=played is not None, save=save, json=json)
        return
    compared = played is None and (save is not None or baseline is not None)
    first, last = BenchConfig.parse_threads(threads)
    config = BenchConfig(
        threads=first,
        threads_to=last,
        batch_size=batch_size,
        samples=samples,
        seconds=seconds,
        rounds=rounds if rounds is not None else usual_rounds(pair=pair, compared=compared),
        repeats=repeats,
        keras=keras,
        slowdown=slow_down,
        cold_cache=cold_cache,
        keep_samples=save is not None or baseline is not None,
    )
    request = Request(
        artifacts=artifacts,
        config=config,
        pair=pair,
        scenario=played,
        baseline=baseline,
        max_slowdown=max_slowdown,
        save=save,
    )
    reporter = TerminalReporter()
    result = run_request(find_exports(exports, reporter), request, reporter)
    show(result, lambda: benchmark_page(result), json=json)
    if not passed(result):
        raise typer.Exit(EXIT_GATE_MISSED)


def usual_rounds(*, pair: bool, compared: bool) -> int:
    """Return how many rounds there are where nobody says it: telling two runs apart takes more than looking at one."""
    from edgemnist.bench import compare
    from edgemnist.bench import pair as pairs
    from edgemnist.bench.config import BenchConfig

    if pair:
        return pairs.ROUNDS
    return compare.ROUNDS if compared else BenchConfig().rounds


def bench_on_boards(targets: list[Target], words: list[str], *, scenario: bool, save: Path | None, json: bool) -> None:
    """Run `edgemnist bench WORDS` on each board, and put them side by side."""
    from edgemnist.deploy.remote import bench_on, scenario_on
    from edgemnist.render import show
    from edgemnist.render.benchmarks import fleet_page
    from edgemnist.storage import write_file

    result = scenario_on(targets, words) if scenario else bench_on(targets, words)
    if save is not None:
        write_file(save, result.to_json().encode())
    show(result, lambda: fleet_page(result), json=json)
    if codes := [board.fault.exit_code for board in result.boards if board.fault is not None]:
        raise typer.Exit(max(codes))
