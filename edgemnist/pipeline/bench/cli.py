"""`edgemnist bench`: its options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import option

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board
    from edgemnist.ground.progress import Reporter
    from edgemnist.model.exports import Exports

app = command_app()

_COMPARING: Final = "Comparing"


@app.command(epilog="Example: edgemnist bench tflite-int8@litert tflite-int8@integer --save bench.json")
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
        shown="3; 15 with --save and --baseline",
    ),
    repeats: options.Repeats = 1,
    keras: bool | None = option(
        "--keras/--no-keras",
        "Measure Keras too, to show the speed-up over it.",
        shown="where it is installed and no artifact is named",
    ),
    save: options.Save = None,
    baseline: Path | None = option(
        "--baseline FILE",
        "Compare with a file that --save wrote; exit 1 if slower, or if that is not known.",
        panel=_COMPARING,
    ),
    max_slowdown: float | None = option(
        "--max-slowdown RATIO",
        "Largest ratio of p50 that passes; exit 1 beyond, or if that is not known.",
        shown="1.05, or that of a gate file",
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
    from edgemnist.pipeline.bench.run import bench_against
    from edgemnist.pipeline.bench.screen import bench_page

    check_output("--save", save, JSON)
    if on:
        options.refuse_with_on(context, "baseline", "max_slowdown", "exports")
        # The board checks the words: it may have more CPUs than this machine.
        words = options.given_words(context, without=options.HERE)
        _measure_on(on, words, save=save, json=json)
        return
    compared = save is not None or baseline is not None
    if rounds is None:
        # To tell two runs apart takes more than to look at one.
        rounds = baselines.ROUNDS if compared else BenchConfig().rounds
    config = BenchConfig(
        threads=threads,
        batch_size=batch_size,
        samples=samples,
        seconds=seconds,
        rounds=rounds,
        repeats=repeats,
        keras=keras,
        keep_samples=compared,
    )
    reporter = TerminalReporter()
    opened = _opened(context, artifacts or (), exports, reporter)
    with quiet_libraries():
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
    show(result, lambda: bench_page(result, opened), json=json)
    if result.baseline is not None and not result.baseline.passed:
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


def _measure_on(boards: Sequence[Board], words: Sequence[str], *, save: Path | None, json: bool) -> None:
    from edgemnist.ground.boards import measure_on
    from edgemnist.ground.results.boards import FleetBenchResult
    from edgemnist.ground.storage import write_file
    from edgemnist.pipeline.bench.screen import fleet_page

    fleet = FleetBenchResult(boards=measure_on(boards, ["bench", *words]))
    # A file that holds figures is not replaced by one of failures.
    if save is not None and any(board.result is not None for board in fleet.boards):
        write_file(save, fleet.to_json().encode())
    show(fleet, lambda: fleet_page(fleet), json=json, host="A board")
    if codes := [board.fault.exit_code for board in fleet.boards if board.fault is not None]:
        raise typer.Exit(max(codes))
