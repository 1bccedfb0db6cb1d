"""`edgemnist export`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.console.tables import closing, table
from edgemnist.formats import FORMATS, INPUT_RANGES
from edgemnist.formatting import count, footprint, kilobytes

if TYPE_CHECKING:
    from edgemnist.results.pipeline import ExportResult

app = command_app()

_FORMATS = ", ".join(FORMATS)
_QUANTIZATIONS = " ".join(
    f"{name}: {', '.join((*entry.quantizations, *entry.trained))}." for name, entry in FORMATS.items()
)
_MADE = " and ".join(name for name, entry in FORMATS.items() if not entry.by_name)
_DEFAULTS = ", ".join(f"{entry.quantizations[0]} for {name}" for name, entry in FORMATS.items())


@app.command(epilog="Example: edgemnist export --format tflite --quantize int8")
def export(
    *,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            show_default=f"all of {_MADE} that the model can become",
            help=f"{_FORMATS}. Repeat for several.",
        ),
    ] = None,
    quantize: Annotated[
        list[str] | None,
        typer.Option(
            "--quantize", show_default=f"with --format: {_DEFAULTS}", help=f"{_QUANTIZATIONS} Repeat for several."
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
    input_range: Annotated[
        str | None,
        typer.Option(
            "--input-range",
            metavar="RANGE",
            show_default="found from the layers or by accuracy",
            help=f"Values of a black and a white pixel in the model's input: {', '.join(INPUT_RANGES)}.",
        ),
    ] = None,
    calibration: Annotated[
        int | None,
        typer.Option(
            "--calibration",
            metavar="N",
            show_default="500, or all if there are fewer",
            help="Training images for the int8 activation ranges.",
        ),
    ] = None,
    ranges: Annotated[
        str,
        typer.Option(
            "--ranges",
            help="minmax: int8 covers the activations of all these images. "
            "flips: leave out the most extreme ones, as many as make the fewest labels of the training images flip.",
        ),
    ] = "minmax",
    golden: Annotated[
        int | None,
        typer.Option(
            "--golden",
            metavar="N",
            show_default="all",
            help="Evaluation images in the golden pack; fewer make it smaller.",
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
    """Convert the Keras model, check that each file is what was asked for, and write the golden pack.

    Without --data the images of the training are used, if their directory is still there.
    """
    from edgemnist.data.sources import find_dataset
    from edgemnist.export.c import C_FORMAT, CExtras
    from edgemnist.export.interface import ExportConfig
    from edgemnist.export.model import read_source_file
    from edgemnist.exports.manifest import DEFAULT_EXPORTS
    from edgemnist.exports.questions import source_of_training

    config = ExportConfig.of(
        formats=formats,
        quantizations=quantize,
        model=model,
        calibration=calibration,
        ranges=ranges,
        golden=golden,
        input_range=input_range,
    )
    extras = CExtras.of(config, projects=project or (), targets=target or ())
    reporter = TerminalReporter()
    directory = exports or DEFAULT_EXPORTS
    if model is not None:
        # A typing error is told before anything is downloaded.
        read_source_file(model)
    elif data is None:
        data = source_of_training(directory)
    dataset = find_dataset(data, download=not offline, reporter=reporter)
    with quiet_libraries():
        from edgemnist.export.run import export_model

        result = export_model(config, dataset, directory, reporter)
    for written in extras.write(directory, [Path(one.file).name for one in result.artifacts if one.format == C_FORMAT]):
        reporter.notice(f"Written: {written}")
    show(result, lambda: export_page(result, directory), json=json)


def export_page(result: ExportResult, exports: Path) -> RenderableType:
    """Draw the files that were written, and the formats that the model cannot be exported to."""
    from edgemnist.exports.manifest import command

    page = table("artifact", "size", "SHA-256", "file", left=["SHA-256"], prose=["file"])
    for artifact in result.artifacts:
        page.add_row(artifact.name, kilobytes(artifact.bytes), artifact.sha256[:12], artifact.file)
    lines: list[RenderableType] = [page]
    if result.refused:
        refused = table("not possible", "why", prose=["why"])
        for one in result.refused:
            refused.add_row(one.name, one.reason)
        lines.append(refused)
    lines += [
        Text(footprint(one.name, one.flash_bytes, one.ram_bytes))
        for one in result.artifacts
        if one.flash_bytes is not None and one.ram_bytes is not None
    ]
    lines.append(Text(f"Golden pack of {count(result.golden_images, 'image')}: {result.golden}"))
    impossible = f", {len(result.refused)} not possible" if result.refused else ""
    written = count(len(result.artifacts), "artifact")
    lines.append(closing(f"Wrote {written}{impossible}.", command("verify", exports)))
    return Group(*lines)
