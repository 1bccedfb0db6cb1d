"""Digits as pictures to look at: strips, sheets of captioned tiles, sheets by class, and rows of text."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images

if TYPE_CHECKING:
    from PIL import Image

    from edgemnist.arrays import Labels

Color: TypeAlias = tuple[int, int, int]

GROUND: Final = (32, 36, 44)
TEXT: Final = (240, 242, 245)
DETAIL: Final = (158, 168, 184)

SCALE: Final = 3
TILE: Final = IMAGE_SIDE * SCALE
COLUMNS: Final = 10
GAP: Final = 20
MARGIN: Final = 28
HEADING: Final = 52
HEADING_SIZE: Final = 20
ANSWER_SIZE: Final = 17
DETAIL_SIZE: Final = 12
CAPTION: Final = 46
"""Height of the caption below an image."""
ROW: Final = TILE + CAPTION + GAP
FRAME: Final = 3
MOST: Final = 120
"""Tiles drawn in a section: more than anybody looks at."""
WIDTH: Final = 2 * MARGIN + COLUMNS * (TILE + GAP) - GAP
_LONGEST_LABEL: Final = 6
"""Letters of a class name in a caption: two fit below an image."""


@dataclass(frozen=True, eq=False)
class Tile:
    """An image with what is written below it."""

    image: npt.NDArray[np.uint8]
    """uint8 [28, 28]."""
    answer: str
    details: tuple[str, ...]
    """Smaller lines below the answer, at most two."""
    color: Color | None = None
    """Of a frame around the image, and none without."""


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and the tiles below it."""

    heading: tuple[tuple[str, Color], ...]
    """Words and their color; the first are larger."""
    tiles: Sequence[Tile]
    """Of which `MOST` are drawn."""

    @property
    def height(self) -> int:
        """In pixels."""
        return HEADING + math.ceil(min(len(self.tiles), MOST) / COLUMNS) * ROW


def sheet_png(sections: Sequence[Section], legend: str = "") -> bytes:
    """Return a PNG of sections below one another: the same sections give the same bytes."""
    from PIL import Image, ImageDraw, ImageFont

    top = MARGIN + (GAP if legend else 0)
    sheet = Image.new("RGB", (WIDTH, top + sum(section.height for section in sections) + MARGIN), GROUND)
    draw = ImageDraw.Draw(sheet)
    small = ImageFont.load_default(DETAIL_SIZE + 2)
    if legend:
        draw.text((MARGIN, MARGIN), legend, fill=DETAIL, font=small, anchor="ls")
    for section in sections:
        x: float = MARGIN
        for place, (words, color) in enumerate(section.heading):
            font = small if place else ImageFont.load_default(HEADING_SIZE)
            draw.text((x, top + HEADING_SIZE), words, fill=color, font=font, anchor="ls")
            x += font.getlength(words) + GAP
        for place, tile in enumerate(section.tiles[:MOST]):
            row, column = divmod(place, COLUMNS)
            left, upper = MARGIN + column * (TILE + GAP), top + HEADING + row * ROW
            paste(sheet, tile.image, (left, upper), SCALE)
            if tile.color is not None:
                corners = left - FRAME, upper - FRAME, left + TILE + FRAME - 1, upper + TILE + FRAME - 1
                draw.rectangle(corners, outline=tile.color, width=FRAME)
            base = upper + TILE + FRAME
            for number, words in enumerate((tile.answer, *tile.details)):
                size, color = (DETAIL_SIZE, DETAIL) if number else (ANSWER_SIZE, TEXT)
                base += size
                middle = left + TILE // 2
                draw.text((middle, base), words, fill=color, font=ImageFont.load_default(size), anchor="ms")
                base += 2
        top += section.height
    return encoded(sheet)


def short(label: int | str | None) -> str:
    """Return a class name as it fits into a caption."""
    words = "none" if label is None else str(label)
    return words if len(words) <= _LONGEST_LABEL else f"{words[: _LONGEST_LABEL - 1]}…"


def paste(sheet: Image.Image, image: npt.NDArray[np.uint8], place: tuple[int, int], scale: int) -> None:
    """Put an image, uint8 [28, 28], enlarged, at a place of the sheet."""
    from PIL import Image

    side = IMAGE_SIDE * scale
    sheet.paste(Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST), place)


def encoded(picture: Image.Image) -> bytes:
    """Return a picture as the contents of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


_STRIP_SCALE: Final = 8
_STRIP_GAP: Final = 8
_STRIP_GROUND: Final = 96
"""Grey between the images."""


def strip_png(images: Sequence[Sequence[Sequence[int]]]) -> bytes:
    """Return a PNG with 28×28 images side by side, eight times enlarged."""
    from PIL import Image

    tiles = np.array(images, dtype=np.uint8).repeat(_STRIP_SCALE, axis=1).repeat(_STRIP_SCALE, axis=2)
    gap = _STRIP_GAP
    framed = np.pad(tiles, ((0, 0), (gap, gap), (gap, 0)), constant_values=_STRIP_GROUND)
    strip = np.pad(np.concatenate(list(framed), axis=1), ((0, 0), (0, gap)), constant_values=_STRIP_GROUND)
    return encoded(Image.fromarray(strip))


_CLASS_SCALE: Final = 2
_CLASS_TILE: Final = IMAGE_SIDE * _CLASS_SCALE
_CLASS_GAP: Final = 4
"""Between tiles."""
_BETWEEN_CLASSES: Final = 16
_WIDEST_LABEL: Final = 280
_DIGIT_SIZE: Final = 34
_WORD_SIZE: Final = 22
_COUNT_SIZE: Final = 18
"""Letters of a label such as `7`, of one such as `Ankle boot`, and of a count."""


def class_sheet_png(
    images: Images, truth: Labels, labels: Sequence[str], *, columns: int = 20, rows_per_class: int = 2
) -> bytes:
    """Return a PNG with images of each class, its label and its count: at most `columns` × `rows_per_class` a class.

    `images` are uint8 [N, 28, 28], `truth` int64 [N], indices into `labels`. The images are spread evenly over the
    split, in its order, so the same split gives the same bytes.
    """
    from PIL import Image, ImageDraw, ImageFont

    members = [np.flatnonzero(truth == index) for index in range(len(labels))]
    size = _DIGIT_SIZE if max(map(len, labels)) <= len("10") else _WORD_SIZE
    label_font, count_font = ImageFont.load_default(size), ImageFont.load_default(_COUNT_SIZE)
    names = [_shortened(label, label_font.getlength) for label in labels]
    counts = [f"{len(indices):,}" for indices in members]
    headings = max(*map(label_font.getlength, names), *map(count_font.getlength, counts))

    first_column = MARGIN + math.ceil(headings) + MARGIN
    class_height = rows_per_class * (_CLASS_TILE + _CLASS_GAP) - _CLASS_GAP
    width = first_column + columns * (_CLASS_TILE + _CLASS_GAP) - _CLASS_GAP + MARGIN
    height = 2 * MARGIN + len(labels) * (class_height + _BETWEEN_CLASSES) - _BETWEEN_CLASSES
    sheet = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    for index, indices in enumerate(members):
        top = MARGIN + index * (class_height + _BETWEEN_CLASSES)
        base = top + (class_height + size - _COUNT_SIZE) // 2
        draw.text((MARGIN, base), names[index], fill=TEXT, font=label_font, anchor="ls")
        draw.text((MARGIN, base + 1.4 * _COUNT_SIZE), counts[index], fill=DETAIL, font=count_font, anchor="ls")
        for position, member in enumerate(_spread(indices, columns * rows_per_class)):
            row, column = divmod(position, columns)
            place = first_column + column * (_CLASS_TILE + _CLASS_GAP), top + row * (_CLASS_TILE + _CLASS_GAP)
            paste(sheet, images[member], place, _CLASS_SCALE)
    return encoded(sheet)


def _shortened(text: str, length: Callable[[str], float]) -> str:
    text = " ".join(text.split())
    while length(text) > _WIDEST_LABEL:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def _spread(members: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return at most `count` members, from the first to the last in even steps."""
    if len(members) <= count:
        return members
    return members[np.linspace(0, len(members) - 1, count).astype(np.int64)]


_INK: Final = 96
"""Pixels from here on are drawn in a terminal."""
_SPACE: Final = 3
"""Blank columns between images in a terminal."""
_HALVES: Final = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def terminal_rows(images: Images, *, width: int = 80) -> list[str]:
    """Return rows of text that show images, uint8 [N, 28, 28], side by side, without their blank margins.

    A character is one pixel wide and two high. Shown are as many images as fit into `width` characters.
    """
    drawn: list[npt.NDArray[np.bool_]] = []
    for image in images:
        ink = image >= _INK
        columns = np.flatnonzero(ink.any(axis=0))
        trimmed = ink[:, columns[0] : columns[-1] + 1] if columns.size else ink[:, :1]
        drawn.append(np.pad(trimmed, ((0, 0), (0, _SPACE))))
        if sum(part.shape[1] for part in drawn) - _SPACE > width:
            drawn.pop()
            break
    if not drawn:
        return []
    strip = np.concatenate(drawn, axis=1)
    rows = ["".join(_HALVES[up, low] for up, low in zip(*pair, strict=True)).rstrip() for pair in _pairs(strip)]
    inked = [index for index, row in enumerate(rows) if row]
    return rows[inked[0] : inked[-1] + 1] if inked else []


def _pairs(strip: npt.NDArray[np.bool_]) -> Iterator[tuple[list[bool], list[bool]]]:
    return zip(strip[::2].tolist(), strip[1::2].tolist(), strict=True)
