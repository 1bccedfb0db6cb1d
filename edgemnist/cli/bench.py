"""`edgemnist bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist bench tflite-int8 onnx-int8 --save bench.json")
def bench(
    artifacts: options.Artifacts = None,
    *,
    threads: options.Threads = 1,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a call, for the throughput.")] = 1000,
    samples: Annotated[int, typer.Option("--samples", help="Timed calls, at the least.")] = 1000,
    seconds: Annotated[float, typer.Option("--seconds", help="Timed seconds, at the least.")] = 1.0,
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds over all artifacts, each in fresh processes.")] = 3,
    keras: Annotated[bool, typer.Option("--keras/--no-keras", help="Measure Keras too, where it is installed.")] = True,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the result with its raw samples.")
    ] = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time one image and a batch, for each artifact in its runtime and for Keras, each in a fresh process."""
    import msgspec

    from edgemnist.bench.config import BenchConfig
    from edgemnist.bench.run import bench as run
    from edgemnist.bench.run import save_bench
    from edgemnist.exports import find_exports, keeps_results
    from edgemnist.render import show
    from edgemnist.render.bench import bench_page
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.storage import write_file

    config = BenchConfig(
        threads=threads,
        batch_size=batch_size,
        samples=samples,
        seconds=seconds,
        rounds=rounds,
        keras=keras,
        keep_samples=save is not None,
    )
    reporter = TerminalReporter()
    directory = find_exports(exports, reporter)
    result = run(directory, artifacts, config, reporter)
    if save is not None:
        write_file(save, result.to_json().encode())
        result = msgspec.structs.replace(result, samples_us=None, warmup_us=None)
    if keeps_results(directory):
        save_bench(directory, result, reporter)
    show(result, lambda: bench_page(result), json=json)
