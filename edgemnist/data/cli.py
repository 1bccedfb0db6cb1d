"""`edgemnist data`: its options and its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, show
from edgemnist.console.tables import closing, table
from edgemnist.formatting import count

if TYPE_CHECKING:
    from edgemnist.results.data import DataResult

app = command_app()


@app.command(epilog="Example: edgemnist data --sheet digits.png")
def data(
    *,
    directory: options.Data = None,
    offline: options.Offline = False,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Write a PNG sheet of digits.")] = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Find the images, describe them, and compare them with those that the export directory was made from."""
    import msgspec

    from edgemnist.data.dataset import describe
    from edgemnist.data.sources import find_dataset
    from edgemnist.exports import peek
    from edgemnist.exports.manifest import DEFAULT_EXPORTS, command
    from edgemnist.exports.outputs import PNG, check_output
    from edgemnist.exports.questions import count_seen
    from edgemnist.images.sheet import class_sheet_png, terminal_rows
    from edgemnist.storage import write_file

    options.check_png(sheet)
    check_output("--sheet", sheet, PNG, inputs=[directory] if directory else [])
    reporter = TerminalReporter()
    dataset = find_dataset(directory, download=not offline, reporter=reporter)
    result = describe(dataset)
    opened = peek(exports, reporter)
    # The reference is of interest to those who ask for it: nobody here made it.
    if opened is not None and (exports is not None or not opened.is_reference):
        result = msgspec.structs.replace(
            result,
            exports=str(opened.directory),
            exported=opened.manifest.data,
            seen=count_seen(opened.directory, opened.manifest, dataset.test.images),
        )
    if sheet is not None:
        write_file(sheet, class_sheet_png(dataset.train.images, dataset.train.labels, dataset.labels))
        result = msgspec.structs.replace(result, sheet=str(sheet))
    step = command("train", exports or DEFAULT_EXPORTS)
    if opened is not None and result.exported and result.exported.sha256 == result.data.sha256:
        step = opened.command("verify")
    show(result, lambda: data_page(result, terminal_rows(dataset.test.images[:8]), step), json=json)


def data_page(result: DataResult, digits: Sequence[str], step: str) -> RenderableType:
    """Draw counts, ranges and checksums, and a few digits above them. `step` is the command that comes next."""
    counts = table("class", "train", "test")
    for label in result.labels:
        counts.add_row(label, f"{result.train.per_class[label]:,}", f"{result.test.per_class[label]:,}")
    counts.add_section()
    counts.add_row("all", f"{result.train.images:,}", f"{result.test.images:,}")
    splits = table("split", "images", "pixels", "mean", "SHA-256", left=["SHA-256"])
    for name, split in (("train", result.train), ("test", result.test)):
        splits.add_row(
            name, f"{split.images:,}", f"{split.minimum}-{split.maximum}", f"{split.mean:.1f}", split.sha256[:16]
        )
    lines: list[RenderableType] = [Text("\n".join(digits)), Text(result.data.source, style="bold"), counts, splits]
    if result.sheet:
        lines.append(Text(f"Sheet of digits: {result.sheet}"))
    if result.exported:
        same = result.exported.sha256 == result.data.sha256
        done = "exported" if result.seen is None else "trained"
        made = "with these images" if same else f"with other images: {result.exported.source}"
        verdict = f"The model in {result.exports} was {done} {made}."
    else:
        verdict = f"{count(result.train.images, 'image')} to train, {result.test.images:,} to test."
    if result.seen:
        seen = f"{result.seen:,} of the {result.test.images:,} evaluation images"
        lines.append(Text(verdict))
        verdict, step = f"It was trained on {seen}: they say nothing about its accuracy.", ""
    return Group(*lines, closing(verdict, step, passed=not result.seen))
