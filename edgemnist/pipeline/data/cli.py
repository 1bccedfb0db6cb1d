"""`edgemnist data`: its options and its page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, show
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count

if TYPE_CHECKING:
    from edgemnist.ground.results.data import DataIdentity, DataResult, NumberSummary
    from edgemnist.model.exports import Exports

app = command_app()

MOST_SHOWN = 30
"""Classes, and numbers of a row, that a page lists."""


@app.command(epilog="Example: edgemnist data --sheet sheet.png")
def data(
    *,
    directory: options.Data = None,
    shape: options.Input = None,
    prepare: options.Prepare = None,
    skip_broken: options.SkipBroken = False,
    offline: options.Offline = False,
    sheet: Path | None = option("--sheet FILE", "Write a PNG sheet of each class, rows of numbers as curves."),
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Find the data, describe them, and compare them with those that the export directory was made from."""
    from edgemnist.ground.sheet import class_sheet_png, terminal_rows
    from edgemnist.ground.storage import write_file
    from edgemnist.model.exports import peek
    from edgemnist.model.exports.manifest import DEFAULT_EXPORTS, command
    from edgemnist.model.exports.outputs import PNG, check_output
    from edgemnist.model.exports.questions import count_seen
    from edgemnist.model.task import default_task
    from edgemnist.pipeline.data.dataset import MNIST_IDENTITY, describe
    from edgemnist.pipeline.data.sources import find_dataset

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UsageError(f"--sheet writes a PNG, and {sheet} does not end in .png")
    check_output("--sheet", sheet, PNG, inputs=[directory] if directory else [])
    reporter = TerminalReporter()
    read = partial(find_dataset, shape=options.input_shape(shape), prepare=prepare, skip_broken=skip_broken)
    dataset = read(directory, download=not offline, reporter=reporter)
    result = describe(dataset)
    opened = peek(exports, reporter)
    # The reference is of interest to those who ask for it: nobody here made it.
    if opened is not None and (exports is not None or not opened.is_reference):
        result = msgspec.structs.replace(
            result,
            exports=str(opened.directory),
            exported=opened.manifest.data or _golden_data(opened),
            seen=count_seen(opened.directory, opened.manifest, dataset.test.images),
        )
    if sheet is not None:
        write_file(sheet, class_sheet_png(dataset.train.images, dataset.train.truth, dataset.labels))
        result = msgspec.structs.replace(result, sheet=str(sheet))
    asked = {"--data": directory, "--input": shape, "--prepare": prepare}
    words = [f"{name} {shlex.quote(str(value))}" for name, value in asked.items() if value is not None]
    step = ""
    if opened is not None and result.exported and result.exported.sha256 == result.data.sha256:
        step = opened.command("verify")
    elif dataset.labels:
        is_usual = result.data.sha256 == MNIST_IDENTITY
        step = " ".join([command("train", exports or DEFAULT_EXPORTS), *([] if is_usual else words)])
    is_ink = dataset.task.preparer == default_task().preparer
    drawn = terminal_rows(dataset.test.images[:8]) if is_ink else []
    show(result, lambda: data_page(result, drawn, step), json=json)


def _golden_data(opened: Exports) -> DataIdentity | None:
    """Return the data set that an export was made with, whatever its model was trained on."""
    try:
        return opened.read_golden().data
    except ArtifactError:
        return None


def data_page(result: DataResult, drawn: Sequence[str], step: str) -> RenderableType:
    """Draw counts, ranges and checksums, and a few inputs above them. `step` is the command that comes next."""
    from edgemnist.model.task import TASKS

    noun = TASKS[result.task].noun if result.task else "picture"
    is_picture = result.input is None or result.input.is_picture
    one = "image" if is_picture else noun
    counts = table("class", "train", "test")
    for label in result.labels[:MOST_SHOWN]:
        counts.add_row(label, f"{result.train.per_class[label]:,}", f"{result.test.per_class[label]:,}")
    if len(result.labels) > MOST_SHOWN:
        counts.add_row(f"{len(result.labels) - MOST_SHOWN:,} more", "", "")
    counts.add_section()
    counts.add_row("all", f"{result.train.images:,}", f"{result.test.images:,}")
    splits = table("split", f"{one}s", "pixels" if is_picture else "numbers", "mean", "SHA-256", left=["SHA-256"])
    for name, split in (("train", result.train), ("test", result.test)):
        ends, mean = f"{split.minimum}-{split.maximum}", f"{split.mean:.1f}"
        if not is_picture:
            ends, mean = f"{split.minimum:.4g} to {split.maximum:.4g}", f"{split.mean:.4g}"
        splits.add_row(name, f"{split.images:,}", ends, mean, split.sha256[:16])
    lines: list[RenderableType] = [Text("\n".join(drawn)), Text(result.data.source, style="bold"), counts, splits]
    if result.numbers:
        lines.append(_numbers(result.numbers))
    if result.sheet:
        lines.append(Text(f"Sheet of {noun}s: {result.sheet}"))
    if result.exported:
        same = result.exported.sha256 == result.data.sha256
        done = "exported" if result.seen is None else "trained"
        made = f"with these {one}s" if same else f"with other {one}s: {result.exported.source}"
        verdict = f"The model in {result.exports} was {done} {made}."
    else:
        verdict = f"{count(result.train.images, one)} to train, {result.test.images:,} to test."
    if result.seen:
        seen = f"{result.seen:,} of {count(result.test.images, f'evaluation {one}')}"
        lines.append(Text(verdict))
        verdict, step = f"It was trained on {seen}: they say nothing about its accuracy.", ""
    return Group(*lines, closing(verdict, step, passed=not result.seen))


def _numbers(numbers: Sequence[NumberSummary]) -> RenderableType:
    figures = table("number", "least", "mean", "greatest")
    for number in numbers[:MOST_SHOWN]:
        figures.add_row(number.name, *(f"{value:.4g}" for value in (number.minimum, number.mean, number.maximum)))
    if len(numbers) > MOST_SHOWN:
        figures.add_row(f"{len(numbers) - MOST_SHOWN:,} more", "", "", "")
    return figures
