"""`edgemnist export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

app = command_app()


@app.command(epilog="Example: edgemnist export --format tflite --quantize int8")
def export(
    *,
    format_: Annotated[
        str | None, typer.Option("--format", show_default="all eight artifacts", help="tflite or onnx.")
    ] = None,
    quantize: Annotated[
        list[str] | None,
        typer.Option(
            "--quantize",
            show_default="int8 for tflite, float32 for onnx",
            help="tflite: int8, int4, dynamic, float16, float32. onnx: float32, int8, dynamic. Repeat for several.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="FILE",
            show_default="model.keras of the export directory",
            help="Any Keras model that maps 28×28 images to class scores.",
        ),
    ] = None,
    calibration: Annotated[
        int,
        typer.Option("--calibration", metavar="N", help="Training images for the int8 activation ranges."),
    ] = 500,
    ranges: Annotated[
        str,
        typer.Option(
            "--ranges",
            help="minmax: int8 covers the activations of all these images. "
            "flips: leave out the most extreme ones, as many as flip fewest labels of the training images.",
        ),
    ] = "minmax",
    golden: Annotated[
        int | None,
        typer.Option(
            "--golden", metavar="N", show_default="all", help="Evaluation images in the golden pack, for a small one."
        ),
    ] = None,
    data: options.Data = None,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Convert the Keras model, check that each file is what was asked for, and write the golden pack."""
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter, quiet_libraries
    from edgemnist.data.sources import find_dataset
    from edgemnist.export.interface import ExportConfig
    from edgemnist.export.screen import export_page
    from edgemnist.exports.manifest import DEFAULT_EXPORTS

    config = ExportConfig.of(
        format=format_, quantizations=quantize, model=model, calibration=calibration, ranges=ranges, golden=golden
    )
    reporter = TerminalReporter()
    dataset = find_dataset(data, download=not offline, reporter=reporter)
    directory = exports or DEFAULT_EXPORTS
    with quiet_libraries():
        from edgemnist.export.run import export_model

        result = export_model(config, dataset, directory, reporter)
    show(result, lambda: export_page(result), json=json)
