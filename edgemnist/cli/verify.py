"""`edgemnist verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemnist.cli import app, options
from edgemnist.errors import EXIT_GATE_MISSED


@app.command(epilog="Example: edgemnist verify tflite-int8 --max-flips 0.1")
def verify(
    artifacts: options.Artifacts = None,
    *,
    max_flips: Annotated[
        float | None,
        typer.Option("--max-flips", metavar="PERCENT", show_default="by quantization", help="Labels that may change."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", metavar="POINTS", show_default="by quantization", help="Accuracy that may be lost."),
    ] = None,
    max_diff: Annotated[
        float | None,
        typer.Option(
            "--max-diff", metavar="P", show_default="by quantization", help="How far off probabilities may be."
        ),
    ] = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Hold every artifact against the Keras model, over every evaluation image. Exit 1 where a gate is missed."""
    from edgemnist.exports import find_exports, keeps_results
    from edgemnist.render import show
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.terminal import quiet_libraries
    from edgemnist.render.verify import verify_page
    from edgemnist.verify.gate import LimitOverrides
    from edgemnist.verify.run import save_verification
    from edgemnist.verify.run import verify as run

    reporter = TerminalReporter()
    directory = find_exports(exports, reporter)
    overrides = LimitOverrides.of(max_flips_percent=max_flips, max_drop_points=max_drop, max_abs_diff=max_diff)
    with quiet_libraries():
        result = run(directory, artifacts, overrides, reporter)
    if keeps_results(directory):
        save_verification(directory, result, reporter)
    show(result, lambda: verify_page(result), json=json)
    if not result.passed:
        raise typer.Exit(EXIT_GATE_MISSED)
