"""`edgemnist export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options


@app.command(epilog="Example: edgemnist export --format tflite --quantize int8")
def export(
    *,
    format_: Annotated[
        str | None, typer.Option("--format", show_default="all eight of tflite and onnx", help="tflite, onnx or c.")
    ] = None,
    quantize: Annotated[
        list[str] | None,
        typer.Option(
            "--quantize",
            show_default="int8 for tflite and c, float32 for onnx",
            help="tflite: int8, int4, dynamic, float16, float32. onnx: float32, int8, dynamic. c: int8. "
            "Repeat for several.",
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
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            metavar="KIND",
            help="With c: also a folder to open and build, for arduino, cmake, pico or zephyr. Repeat for several.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="BOARD",
            help="With c: also a static executable, ./digit-BOARD picture.pgm, for pi-zero, pi, linux-armv6, "
            "linux-armv7, linux-aarch64, linux-riscv64 or linux-x86_64. Repeat for several.",
        ),
    ] = None,
    data: options.Data = None,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Convert the Keras model, check that each file is what was asked for, and write the golden pack."""
    from edgemnist.data.sources import find_dataset
    from edgemnist.export.config import ExportConfig
    from edgemnist.export.projects import CExtras
    from edgemnist.exports import DEFAULT_EXPORTS
    from edgemnist.render import show
    from edgemnist.render.export import export_page
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.terminal import quiet_libraries

    config = ExportConfig.of(
        format=format_, quantizations=quantize, model=model, calibration=calibration, ranges=ranges, golden=golden
    )
    extras = CExtras.of(config, projects=project or (), targets=target or ())
    reporter = TerminalReporter()
    dataset = find_dataset(data, download=not offline, reporter=reporter)
    directory = exports or DEFAULT_EXPORTS
    with quiet_libraries():
        from edgemnist.export.run import export_model

        result = export_model(config, dataset, directory, reporter)
    for written in extras.write(directory):
        reporter.notice(f"Written: {written}")
    show(result, lambda: export_page(result), json=json)
