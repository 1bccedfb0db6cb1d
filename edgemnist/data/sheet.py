"""Looking at a data set: as a PNG sheet, and as text in a terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images
from edgemnist.data.dataset import Split

_SCALE: Final = 2
_TILE: Final = IMAGE_SIDE * _SCALE
_GAP: Final = 4
"""Between tiles."""
_CLASS_GAP: Final = 16
"""Between the rows of one class and the next."""
_MARGIN: Final = 28
_WIDEST_LABEL: Final = 280
_DIGIT_SIZE: Final = 34
_WORD_SIZE: Final = 22
_COUNT_SIZE: Final = 18
"""Letters of a label such as `7`, of one such as `Ankle boot`, and of a count."""

_GROUND: Final = (32, 36, 44)
_LABEL: Final = (240, 242, 245)
_COUNT: Final = (142, 152, 168)

_INK: Final = 96
"""Pixels from here on are drawn in a terminal."""
_SPACE: Final = 3
"""Blank columns between images in a terminal."""
_HALVES: Final = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def sheet_png(split: Split, labels: Sequence[str], *, columns: int = 20, rows_per_class: int = 2) -> bytes:
    """Return a PNG with images of each class, its label and its count: at most `columns` × `rows_per_class` a class.

    They are spread evenly over the split, in its order, so the same split gives the same bytes.
    """
    from PIL import Image, ImageDraw, ImageFont

    members = [np.flatnonzero(split.labels == index) for index in range(len(labels))]
    size = _DIGIT_SIZE if max(map(len, labels)) <= len("10") else _WORD_SIZE
    label_font, count_font = ImageFont.load_default(size), ImageFont.load_default(_COUNT_SIZE)
    names = [_shortened(label, label_font.getlength) for label in labels]
    counts = [f"{len(indices):,}" for indices in members]
    headings = max(*map(label_font.getlength, names), *map(count_font.getlength, counts))

    first_column = _MARGIN + math.ceil(headings) + _MARGIN
    class_height = rows_per_class * (_TILE + _GAP) - _GAP
    width = first_column + columns * (_TILE + _GAP) - _GAP + _MARGIN
    height = 2 * _MARGIN + len(labels) * (class_height + _CLASS_GAP) - _CLASS_GAP
    sheet = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    for index, indices in enumerate(members):
        top = _MARGIN + index * (class_height + _CLASS_GAP)
        base = top + (class_height + size - _COUNT_SIZE) // 2
        draw.text((_MARGIN, base), names[index], fill=_LABEL, font=label_font, anchor="ls")
        draw.text((_MARGIN, base + 1.4 * _COUNT_SIZE), counts[index], fill=_COUNT, font=count_font, anchor="ls")
        for position, member in enumerate(_spread(indices, columns * rows_per_class)):
            row, column = divmod(position, columns)
            tile = Image.fromarray(split.images[member]).resize((_TILE, _TILE), Image.Resampling.NEAREST)
            sheet.paste(tile, (first_column + column * (_TILE + _GAP), top + row * (_TILE + _GAP)))
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


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
