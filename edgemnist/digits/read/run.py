"""`edgemnist read`: a page from a file, its tables as CSV, and a picture of what was read on it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from PIL import Image, ImageDraw, ImageFont

from edgemnist.digits.images.grey import to_grey
from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.page import FINDER, read_page
from edgemnist.digits.recognize import require_digits
from edgemnist.digits.results import ReadDigit, ReadResult, ReadTable
from edgemnist.errors import ImageError, UsageError
from edgemnist.ground.formatting import percent
from edgemnist.ground.pictures import decode_image, picture_file, picture_name
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.storage import is_stream, write_file
from edgemnist.model.answers import Answering, Observing, observed
from edgemnist.model.exports import Exports, model_for
from edgemnist.model.exports.outputs import CSV, check_output

KINDS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Formats of the drawing by suffix."""


def read_file(
    exports: Exports | None,
    page: Path,
    config: ReadConfig,
    *,
    artifact: str | None = None,
    threads: int = 1,
    boxes: Path | None = None,
    observing: Sequence[Observing] = (),
    reporter: Reporter = SILENT,
) -> ReadResult:
    """Read the digits of a picture file, or of standard input for `-`.

    `boxes` is a PNG or JPEG, by its suffix, to draw them into. `artifact` is a name of the export directory or a model
    file; by default the fastest verified one is taken. The digits are published to those who are `observing`.

    Raises UsageError where `boxes` is neither by its suffix, ImageError for a picture that cannot be read,
    ArtifactError and ManifestError where the artifact cannot be used, MissingDependencyError where OpenCV or the
    runtime is missing, and StorageError where `boxes` cannot be written.
    """
    if boxes is not None and boxes.suffix.lower() not in KINDS:
        raise UsageError(
            f"--boxes {boxes} is not the name of a PNG or JPEG", hint="Use a name that ends in .png or .jpg."
        )
    FINDER.load()
    name = picture_name(page)
    with picture_file(page) as file:
        picture = decode_image(file, name)
        coloured = picture if boxes is None else decode_image(file, name, colours=True)
    model, labels = model_for(exports, artifact, reporter)
    classifier = model.load(threads=threads, labels=labels)
    require_digits(classifier, model.name, "read")
    try:
        answering = Answering(model=model, classifier=classifier, exports=exports, reporter=reporter)
        with observed(observing, answering) as publish:
            result = read_page(picture, classifier, config, source=name, publish=publish)
    except ImageError as error:
        raise ImageError(f"{name} cannot be read: {error.message}", hint=error.hint) from error
    if not result.sharp:
        reporter.notice(f"{name} is out of focus, so nothing on it is reported. Photograph it again, sharp.")
    elif not result.digits:
        reporter.notice(f"No digits were found on {name}.")
    if result.turned:
        reporter.notice(f"{name} was turned {result.turned}° clockwise to be read.")
    if not result.complete:
        reporter.notice(f"There is more ink on {name} than on any page of digits, so not all of it was tried.")
    if boxes is not None:
        write_file(boxes, draw_boxes(coloured, result, KINDS[boxes.suffix.lower()]))
    return msgspec.structs.replace(result, artifact=model.name, runtime=model.runtime)


def write_tables(result: ReadResult, path: Path, reporter: Reporter = SILENT) -> None:
    """Write the table of a page to a CSV file, or several to files with a number before the suffix.

    What a merged cell says stands in its first place. A pipe or a device takes all tables, with an empty line between
    two. Raises ImageError if there is none, UsageError where a file is there that is no earlier table, and StorageError
    where one cannot be written.
    """
    if not result.tables:
        raise ImageError(
            f"{result.source} shows no table, so {path} was not written",
            hint="A table is found by its lines. Photograph all of them, sharp and from above.",
        )
    texts = []
    for table in result.tables:
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows_of(table))
        texts.append(stream.getvalue())
    if is_stream(path):
        texts = ["\n".join(texts)]
    several = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(texts) + 1)]
    files = several if len(several) > 1 else [path]
    if not is_stream(path):
        for file in files:
            check_output("--csv", file, CSV)
    for file, text in zip(files, texts, strict=True):
        write_file(file, text.encode())
    if len(files) > 1:
        reporter.notice(f"{result.source} shows {len(files)} tables: {', '.join(str(file) for file in files)}")


def rows_of(table: ReadTable) -> list[list[str]]:
    """Return the texts of a table, row by row; empty where nothing is written, or a merged cell goes on."""
    rows = [["" for _ in range(table.columns)] for _ in range(table.rows)]
    for cell in table.cells:
        rows[cell.row][cell.column] = cell.text
    return rows


ANSWERED_COLOUR: Final = (0, 114, 178)
REFUSED_COLOUR: Final = (213, 94, 0)
CELL_COLOUR: Final = (0, 158, 115)
"""Blue, vermilion and bluish green of Okabe and Ito's palette, which the colour-blind tell apart."""
MAX_SIDE: Final = 2048
"""Longer side of the drawing: larger pages are scaled down."""
SMALLEST_TEXT: Final = 10
JPEG_QUALITY: Final = 85


def draw_boxes(page: Image.Image, result: ReadResult, kind: str = "PNG") -> bytes:
    """Return a picture file, PNG or JPEG by `kind`, of a page with what was read on it."""
    scale = min(1, MAX_SIDE / max(page.size))
    size = max(1, round(page.width * scale)), max(1, round(page.height * scale))
    canvas = _visible(page).resize(size, Image.Resampling.BOX)
    draw = ImageDraw.Draw(canvas)
    for table in result.tables:
        for cell in table.cells:
            left, top, width, height = (value * scale for value in cell.box)
            draw.rectangle((left, top, left + width, top + height), outline=CELL_COLOUR, width=1)
        corners = [(x * scale, y * scale) for x, y in table.corners]
        draw.line([*corners, corners[0]], fill=CELL_COLOUR, width=3)
    for digit in result.digits:
        _draw_digit(draw, digit, scale)
    stream = io.BytesIO()
    canvas.save(stream, format=kind, quality=JPEG_QUALITY)
    return stream.getvalue()


def _visible(page: Image.Image) -> Image.Image:
    """Return the page in RGB; what has no plain colours, such as 16-bit or transparent pictures, as it was read."""
    if page.mode in ("RGB", "CMYK", "YCbCr"):
        return page.convert("RGB")
    return Image.fromarray(to_grey(page, max(page.size))).convert("RGB")


def _draw_digit(draw: ImageDraw.ImageDraw, digit: ReadDigit, scale: float) -> None:
    left, top, width, height = (value * scale for value in digit.box)
    colour = REFUSED_COLOUR if digit.digit is None else ANSWERED_COLOUR
    draw.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), outline=colour, width=2)
    middle = left + width / 2
    answer = "?" if digit.digit is None else str(digit.digit)
    for text, y, size, anchor in (
        (answer, top - 4, height / 2.4, "ms"),
        (percent(digit.confidence, 0), top + height + 3, height / 5, "mt"),
    ):
        font = ImageFont.load_default(max(SMALLEST_TEXT, size))
        # A white rim keeps the text legible on any ground.
        draw.text((middle, y), text, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill="white")
