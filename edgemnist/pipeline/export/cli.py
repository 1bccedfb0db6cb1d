"""`edgemnist export`: its options and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_MISSING_DEPENDENCY, UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count, footprint, kilobytes
from edgemnist.model.formats import FORMATS

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import ExportResult

app = command_app()

_FORMATS = ", ".join(FORMATS)
_QUANTIZATIONS = " ".join(f"{name}: {', '.join((*one.quantizations, *one.trained))}." for name, one in FORMATS.items())
_MADE = " and ".join(name for name, entry in FORMATS.items() if not entry.by_name)
_DEFAULTS = ", ".join(f"{entry.quantizations[0]} for {name}" for name, entry in FORMATS.items())


@app.command(epilog="Example: edgemnist export --format tflite --quantize int8")
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The same as --model FILE.", show_default=False)
    ] = None,
    *,
    formats: list[str] | None = option(
        "--format",
        f"{_FORMATS}. Repeat for several.",
        shown=f"all of {_MADE} that the model can become",
    ),
    quantize: list[str] | None = option(
        "--quantize", f"{_QUANTIZATIONS} Repeat for several.", shown=f"with --format: {_DEFAULTS}"
    ),
    model: Path | None = option(
        "--model FILE",
        "A model of yours: a Keras file (.keras, .h5), a float ONNX file, or a full-int8 TFLite file.",
        shown="the one of the export directory",
    ),
    input_range: str | None = option(
        "--input-range RANGE",
        "Values of a black and a white pixel in the model's input, such as 0..1, 0..255 or -1..1.",
        shown="found from the layers and the answers",
    ),
    mean: str | None = option(
        "--mean M", "With --std, instead of a range: the model takes (x/255 - M)/S. One number, or R,G,B."
    ),
    std: str | None = option("--std S", "As in torchvision's Normalize."),
    numbers: bool = flag("--numbers", "The model answers with numbers, such as a regression's, and not with classes."),
    calibration: int | None = option(
        "--calibration N", "Training images for the int8 activation ranges.", shown="500, or all if there are fewer"
    ),
    golden: int | None = option(
        "--golden N", "Evaluation images in the golden pack; fewer make it smaller.", shown="all"
    ),
    logits: bool = flag(
        "--logits",
        "With int8: leave out the last softmax, whose 256 steps cannot tell close classes apart. The file "
        "answers with logits, from which every command computes probabilities.",
        panel=options.ADVANCED,
    ),
    rounding: str | None = option(
        "--rounding RULE",
        "With c and web: single, as LiteRT's reference kernels round, or double, as microcontrollers do.",
        shown="single, or what is there already",
        panel=options.ADVANCED,
    ),
    data: options.Data = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Convert a model, check that each file is what was asked for, and write the golden pack.

    Without --data the inputs of the training are used, if they are still there. Without --format and --quantize,
    whatever else the export directory has is made again, too.
    """
    from edgemnist.model.exports.manifest import DEFAULT_EXPORTS
    from edgemnist.model.exports.questions import source_of_training
    from edgemnist.pipeline.data.sources import find_dataset
    from edgemnist.pipeline.export.interface import ExportConfig
    from edgemnist.pipeline.export.model import find_origin

    if file is not None and model is not None:
        raise UsageError(f"The model is named twice: {file} and --model {model}", hint="Leave one of them out.")
    config = ExportConfig.of(
        formats=formats,
        quantizations=quantize,
        model=file or model,
        calibration=calibration,
        golden=golden,
        input_range=input_range,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        numbers=numbers,
        logits=logits,
        rounding=rounding,
    )
    reporter = TerminalReporter()
    directory = exports or DEFAULT_EXPORTS
    with quiet_libraries():
        # What is wrong with the model is told before anything is downloaded.
        origin = find_origin(config.model, directory, reporter)
        source, dataset = origin.source, None
        if not source.is_usual:
            data = options.named_data(context, data)
        if data is None and config.model is None:
            data = source_of_training(directory)
        if data is not None or (source.is_usual and source.tflite is None):
            # What an array is, picture or not, it says better than the shape of a tensor; pictures in folders are
            # brought to that, and a table may have as many columns.
            says_more = data is None or (data.is_file() and source.spec.is_picture)
            dataset = find_dataset(
                data,
                task=None if says_more else source.task,
                download=not offline,
                skip_broken=skip_broken,
                reporter=reporter,
            )
        from edgemnist.pipeline.export.run import export_model

        result = export_model(config, dataset, directory, reporter, origin=origin)
    show(result, lambda: export_page(result, directory), json=json)
    # No model must become what nobody named, but what lacks a package was not even tried.
    codes = [one.exit_code for one in result.refused if not config.renewing or one.exit_code == EXIT_MISSING_DEPENDENCY]
    if codes:
        raise typer.Exit(max(codes))


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers that an option has, with commas between them. Raises UsageError for anything else."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} must be a number, or one for each channel such as 0.5,0.4,0.4 (got {text})"
        ) from None


def export_page(result: ExportResult, exports: Path) -> RenderableType:
    """Draw the files that were written, and the formats that the model cannot be exported to."""
    from edgemnist.model.exports.manifest import command
    from edgemnist.model.runtimes import RUNTIMES, default_runtime

    page = table("artifact", "size", "SHA-256", "file", left=["SHA-256"], prose=["file"])
    for artifact in result.artifacts:
        page.add_row(artifact.name, kilobytes(artifact.bytes), artifact.sha256[:12], artifact.file)
    lines: list[RenderableType] = [page]
    if result.refused:
        refused = table("not possible", "why", prose=["why"])
        for one in result.refused:
            refused.add_row(one.name, " ".join(filter(None, [f"{one.reason}.", one.hint])))
        lines.append(refused)
    if doubling := [one.name for one in result.artifacts if one.rounding == "double"]:
        lines.append(Text(f"{' and '.join(doubling)}: rounded twice, as kernels of microcontrollers do (double)."))
    lines += [
        Text(footprint(one.name, one.flash_bytes, one.ram_bytes, one.stack_bytes))
        for one in result.artifacts
        if one.flash_bytes is not None and one.ram_bytes is not None
    ]
    lines.append(Text(f"Golden pack of {count(result.golden_images, result.noun)}: {result.golden}"))
    impossible = f", {len(result.refused)} not possible" if result.refused else ""
    written = count(len(result.artifacts), "artifact")
    # What runs only where it is named is not verified otherwise.
    made = [one.name for one in result.artifacts]
    asked = made if any(RUNTIMES[default_runtime(one.file, one.name)].by_name for one in result.artifacts) else []
    lines.append(closing(f"Wrote {written}{impossible}.", command(" ".join(["verify", *asked]), exports)))
    return Group(*lines)
