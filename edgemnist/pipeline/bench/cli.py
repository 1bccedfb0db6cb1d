"""`edgemnist bench`: its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import flag, option

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board
    from edgemnist.ground.progress import Reporter
    from edgemnist.model.exports import Exports

app = command_app()

_LOAD: Final = "Under load"
_COMPARING: Final = "Comparing"
_ALONE: Final = ("batch_size", "keras", "baseline")
"""Parameters of a measurement of models one by one."""


@app.command(
    epilog="Example: edgemnist bench tflite-int8@litert tflite-int8@integer --save bench.json · "
    "edgemnist bench mine.onnx tflite-int8 --pair · edgemnist bench tflite-int8 --scenario server --p99-limit 0.5"
)
def bench(
    context: typer.Context,
    artifacts: options.Models = None,
    *,
    threads: options.Threads = 1,
    batch_size: int = option("--batch-size", "Images per call, for the throughput.", 1000, panel=options.ADVANCED),
    samples: options.Samples = 1000,
    seconds: options.Seconds = 1.0,
    rounds: int | None = option(
        "--rounds",
        "Rounds over all models, each in fresh processes.",
        shown="3; 10 with --pair; 15 with --save and --baseline",
    ),
    repeats: options.Repeats = 1,
    keras: bool | None = option(
        "--keras/--no-keras",
        "Measure Keras too, to show the speed-up over it.",
        shown="where it is installed and no artifact is named",
    ),
    save: options.Save = None,
    scenario: str | None = option(
        "--scenario NAME",
        "In MLPerf's terms: single-stream (p90 with its early-stopping bound), offline (batches of 1 to "
        "1,024), server (the highest rate within a p99 limit); and duty-cycle (asleep between calls).",
        panel=_LOAD,
    ),
    rate: float | None = option(
        "--rate R",
        "duty-cycle: calls a second. server: try this many queries a second, too.",
        shown="1 for duty-cycle",
        panel=_LOAD,
    ),
    p99_limit: float | None = option(
        "--p99-limit MS", "server: how long 99 % of the queries may take.", shown="1", panel=_LOAD
    ),
    pair: bool = flag(
        "--pair", "Time two models, or files, in turns, so that whatever drifts hits both alike.", panel=_COMPARING
    ),
    baseline: Path | None = option(
        "--baseline FILE",
        "Compare with a file that --save wrote; exit 1 if slower, or if that is not known.",
        panel=_COMPARING,
    ),
    max_slowdown: float | None = option(
        "--max-slowdown RATIO",
        "Largest ratio of p50 that passes; exit 1 beyond, or if that is not known.",
        shown="1.05, or that of a gate file, with --baseline; none with --pair",
        panel=_COMPARING,
    ),
    data: Path | None = option(
        "--data PATH", "Inputs for model files: .npy, .npz, .csv, or a folder of pictures.", shown="random ones"
    ),
    on: options.OnEach = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time one image and a batch, for each artifact in its runtime and for Keras, each in a fresh process."""
    from edgemnist.model.exports.outputs import JSON, check_output
    from edgemnist.pipeline.bench import baseline as baselines
    from edgemnist.pipeline.bench.config import BenchConfig
    from edgemnist.pipeline.bench.run import PAIR_ROUNDS, bench_against, compare_models
    from edgemnist.pipeline.bench.scenario import run_scenario
    from edgemnist.pipeline.bench.screen import bench_page, pair_page, scenario_page
    from edgemnist.pipeline.bench.timing import ScenarioConfig

    load = None
    if pair:
        reason = "--pair times two models on this machine"
        options.refuse(context, *_ALONE, "scenario", "rate", "p99_limit", "on", reason=reason)
    elif scenario is not None:
        options.refuse(context, *_ALONE, "max_slowdown", reason="--scenario puts models under load")
        load = ScenarioConfig(name=scenario, rate=rate, p99_limit_ms=p99_limit)
    else:
        options.refuse(context, "rate", "p99_limit", reason="Nothing is under load without --scenario")
    check_output("--save", save, JSON)
    if on:
        options.refuse_with_on(context, "baseline", "max_slowdown", "exports")
        # The board checks the words: it may have more CPUs than this machine.
        words = options.given_words(context, without=options.HERE)
        _measure_on(on, words, under_load=load is not None, save=save, json=json)
        return
    compared = load is None and (save is not None or baseline is not None)
    if rounds is None:
        # To tell two runs apart takes more than to look at one.
        rounds = PAIR_ROUNDS if pair else baselines.ROUNDS if compared else BenchConfig().rounds
    config = BenchConfig(
        threads=threads,
        batch_size=batch_size if not pair and load is None else 1,
        samples=samples,
        seconds=seconds,
        rounds=rounds,
        repeats=repeats,
        keras=False if pair else keras,
        keep_samples=compared,
    )
    reporter, names, passed = TerminalReporter(), artifacts or (), True
    opened = _opened(context, names, exports, reporter)
    step: Callable[[str], str] = opened.command if opened is not None else lambda _: ""
    with quiet_libraries():
        if pair:
            duo = compare_models(
                opened, names, config, max_slowdown=max_slowdown, save=save, data=data, reporter=reporter
            )
            show(duo, lambda: pair_page(duo, step("recommend")), json=json)
            passed = duo.passed
        elif load is not None:
            played = run_scenario(opened, artifacts, config, load, save=save, data=data, reporter=reporter)
            show(played, lambda: scenario_page(played, step("report")), json=json)
        else:
            result = bench_against(
                opened,
                artifacts,
                config,
                baseline=baseline,
                max_slowdown=max_slowdown,
                save=save,
                data=data,
                reporter=reporter,
            )
            show(result, lambda: bench_page(result, step("recommend")), json=json)
            passed = result.baseline is None or result.baseline.passed
    if not passed:
        raise typer.Exit(EXIT_GATE_MISSED)


def _opened(context: typer.Context, names: Sequence[str], exports: Path | None, reporter: Reporter) -> Exports | None:
    """Open the export directory; None where all models are files, which need none."""
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.models import is_file

    if names and all(map(is_file, names)):
        options.refuse(context, "exports", "keras", reason="Model files need no export directory")
        return None
    options.refuse(context, "data", reason="Models of an export directory are given its golden pack")
    return Exports.open(exports, reporter)


def _measure_on(
    boards: Sequence[Board], words: Sequence[str], *, under_load: bool, save: Path | None, json: bool
) -> None:
    from edgemnist.ground.boards import measure_on
    from edgemnist.ground.results.bench import BenchResult, ScenarioResult
    from edgemnist.ground.results.boards import BenchOnBoard, FleetBenchResult, FleetScenarioResult, ScenarioOnBoard
    from edgemnist.ground.storage import write_file
    from edgemnist.pipeline.bench.screen import fleet_page

    words = ["bench", *words]
    fleet: FleetBenchResult | FleetScenarioResult
    if under_load:
        fleet = FleetScenarioResult(boards=measure_on(boards, words, ScenarioResult, ScenarioOnBoard))
    else:
        fleet = FleetBenchResult(boards=measure_on(boards, words, BenchResult, BenchOnBoard))
    # A file that holds figures is not replaced by one of failures.
    if save is not None and any(board.result is not None for board in fleet.boards):
        write_file(save, fleet.to_json().encode())
    show(fleet, lambda: fleet_page(fleet), json=json, host="A board")
    if codes := [board.fault.exit_code for board in fleet.boards if board.fault is not None]:
        raise typer.Exit(max(codes))
