"""A page with a box, a digit and its confidence drawn over everything that was read, and the cells of its tables."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from edgemnist.formatting import percent
from edgemnist.images.grey import to_grey
from edgemnist.results.pictures import ReadDigit, ReadResult

ANSWERED: Final = (0, 114, 178)
REFUSED: Final = (213, 94, 0)
CELL: Final = (0, 158, 115)
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
            draw.rectangle((left, top, left + width, top + height), outline=CELL, width=1)
        corners = [(x * scale, y * scale) for x, y in table.corners]
        draw.line([*corners, corners[0]], fill=CELL, width=3)
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
    colour = REFUSED if digit.digit is None else ANSWERED
    draw.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), outline=colour, width=2)
    middle = left + width / 2
    answer = "?" if digit.digit is None else str(digit.digit)
    _write(draw, (middle, top - 4), answer, colour=colour, size=height / 2.4, anchor="ms")
    _write(draw, (middle, top + height + 3), percent(digit.confidence, 0), colour=colour, size=height / 5, anchor="mt")


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    *,
    colour: tuple[int, int, int],
    size: float,
    anchor: str,
) -> None:
    font = ImageFont.load_default(max(SMALLEST_TEXT, size))
    # A white rim keeps the text legible on any ground.
    draw.text(at, text, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill="white")
