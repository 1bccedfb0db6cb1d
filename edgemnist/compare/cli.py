"""`edgemnist compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.console import command_app, options
from edgemnist.errors import EXIT_GATE_MISSED

app = command_app()


@app.command(
    epilog="Example: edgemnist compare tflite-int8 tflite-int8@integer · edgemnist compare mine.onnx tflite-int8"
)
def compare(
    first: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="An artifact or a model file of any origin.")],
    second: Annotated[str, typer.Argument(metavar="MODEL|FILE", help="What it is compared with.")],
    *,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown", metavar="RATIO", help="Exit 1 where the first is slower than that, beyond noise."
        ),
    ] = None,
    threads: options.Threads = 1,
    samples: options.Samples = 1000,
    seconds: options.Seconds = 1.0,
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds, each with a fresh process for either.")] = 10,
    repeats: options.Repeats = 1,
    save: options.Save = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Time two models in turns, so that whatever drifts hits both alike, and print their ratio."""
    from edgemnist.bench.config import BenchConfig
    from edgemnist.compare.run import compare as run
    from edgemnist.compare.run import open_for
    from edgemnist.compare.screen import compare_page
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.exports.directory import check_output

    check_output("--save", save)
    config = BenchConfig(
        threads=threads, batch_size=1, samples=samples, seconds=seconds, rounds=rounds, repeats=repeats, keras=False
    )
    reporter = TerminalReporter()
    opened = open_for(exports, (first, second), reporter)
    result = run(opened, first, second, config, max_slowdown=max_slowdown, save=save, reporter=reporter)
    show(result, lambda: compare_page(result), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
