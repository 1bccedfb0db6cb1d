"""`edgemnist bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED

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
    from edgemnist.bench.screen import bench_page, fleet_bench_page
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.exports.directory import Exports
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
