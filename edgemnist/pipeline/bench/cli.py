"""`edgemnist bench`: its options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import option

if TYPE_CHECKING:
    from edgemnist.ground.boards import Board
    from edgemnist.ground.progress import Reporter
    from edgemnist.ground.results.bench import BenchResult
    from edgemnist.model.exports import Exports

app = command_app()


@app.command(
    epilog="Example: edgemnist bench · edgemnist bench mine.onnx mine.tflite · "
    "edgemnist bench tflite-int8@litert tflite-int8@integer --save bench.json"
)
def bench(
    context: typer.Context,
    artifacts: options.Models = None,
    *,
    seconds: float = option("--seconds", "How long to measure, all models together.", 60.0),
    threads: options.Threads = 1,
    batch_size: int = option("--batch-size", "Inputs per call, for the throughput.", 1000, panel=options.ADVANCED),
    keras: bool | None = option(
        "--keras/--no-keras",
        "Measure Keras too, to show the speed-up over it.",
        shown="where it is installed and no artifact is named",
    ),
    save: Path | None = option("--save FILE", "Write the result, for a later --baseline."),
    baseline: Path | None = option("--baseline FILE", "Compare with a file that --save wrote; exit 1 if slower."),
    max_slowdown: float | None = option(
        "--max-slowdown RATIO",
        "Largest ratio of an earlier run's time that passes.",
        shown="that of a gate file; else what the noise explains",
        panel=options.ADVANCED,
    ),
    data: Path | None = option(
        "--data PATH",
        "Inputs for model files: .npy, .npz, .csv, or a folder of pictures.",
        shown="random ones",
        panel=options.ADVANCED,
    ),
    on: options.OnEach = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time each model in turns, say how many times as fast one is as another, and which one to ship."""
    from edgemnist.model.exports.outputs import JSON, check_output
    from edgemnist.pipeline.bench.run import BenchConfig, bench_exports
    from edgemnist.pipeline.bench.screen import bench_page

    check_output("--save", save, JSON)
    if on:
        options.refuse_with_on(context, "baseline", "max_slowdown", "exports")
        # The board checks the words: it may have more CPUs than this machine.
        _measure_on(on, options.given_words(context, without=options.HERE), save=save, json=json)
        return
    config = BenchConfig(seconds=seconds, threads=threads, batch_size=batch_size, keras=keras)
    reporter, names = TerminalReporter(), artifacts or ()
    opened = _opened(context, names, exports, reporter)
    with quiet_libraries():
        result = bench_exports(
            opened,
            artifacts,
            config,
            baseline=baseline,
            max_slowdown=max_slowdown,
            save=save,
            data=data,
            reporter=reporter,
        )
    show(result, lambda: bench_page(result, _step(result, opened, names)), json=json)
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


def _step(result: BenchResult, opened: Exports | None, names: Sequence[str]) -> str:
    """Return the next command: to bring what is shipped to a board, or to verify what may not be yet."""
    if opened is None or result.decision is None:
        return f"edgemnist verify {names[0]}" if names else ""
    if result.decision.name is None:
        return opened.command("verify")
    return opened.command(f"bundle {result.decision.name} --output bundle.zip")


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
