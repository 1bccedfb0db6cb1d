"""Pictures that are not one digit: columns, rows, tables, grids, frames and ruled paper, cropped as people crop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from edgemnist.digits.images.grey import Grey
from tools.likeness.camera import Camera, Floats, as_share, develop, lay_ink, paper
from tools.likeness.page import Digits

Draw = Callable[[Digits, np.random.Generator], Grey]


def _canvas(height: int, width: int) -> Floats:
    return np.zeros((height, width), dtype=np.float32)


def _put(ink: Floats, digit: Grey, left: int, top: int, side: int) -> None:
    """Draw a digit of `side` pixels, as far as it lies on the sheet."""
    glyph = as_share(np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)))
    height, width = ink.shape
    first_row, first_column = max(0, top), max(0, left)
    part = ink[first_row : min(height, top + side), first_column : min(width, left + side)]
    rows, columns = part.shape
    np.maximum(part, glyph[first_row - top :, first_column - left :][:rows, :columns], out=part)


def _grid(digits: Digits, rng: np.random.Generator, *, rows: int, columns: int, lines: tuple[bool, bool]) -> Grey:
    """Return digits in rows and columns; `lines` are rows' and columns' rulings, which may run into the edge."""
    side = int(rng.integers(22, 90))
    cell_height, cell_width = round(side * rng.uniform(0.95, 1.5)), round(side * rng.uniform(0.75, 1.5))
    margin = int(rng.choice([0, 0, side // 2]))
    ink = _canvas(rows * cell_height + 2 * margin, columns * cell_width + 2 * margin)
    for index, digit in enumerate(digits.sample(rows * columns, rng).images):
        row, column = divmod(index, columns)
        if rows * columns > 6 and rng.random() < 0.15:
            continue
        left = margin + column * cell_width + (cell_width - side) // 2
        _put(ink, digit, left, margin + row * cell_height + (cell_height - side) // 2, side)
    thickness = int(rng.integers(1, max(2, side // 14)))
    inner = slice(margin, ink.shape[0] - margin), slice(margin, ink.shape[1] - margin)
    if lines[0]:
        for row in range(rows + 1):
            ink[margin + row * cell_height : margin + row * cell_height + thickness, inner[1]] = 0.9
    if lines[1]:
        for column in range(columns + 1):
            ink[inner[0], margin + column * cell_width : margin + column * cell_width + thickness] = 0.9
    return _taken(ink, rng)


def _taken(ink: Floats, rng: np.random.Generator) -> Grey:
    """Return a scan of ink, or a photograph."""
    if rng.random() < 0.5:
        return np.asarray(255 * (1 - 0.9 * ink), dtype=np.uint8)
    height, width = ink.shape
    return develop(lay_ink(paper(height, width, rng), ink, rng.uniform(0.05, 0.4)), rng, Camera())


def _column(digits: Digits, rng: np.random.Generator) -> Grey:
    return _grid(digits, rng, rows=int(rng.integers(2, 20)), columns=1, lines=(False, False))


def _row(digits: Digits, rng: np.random.Generator) -> Grey:
    return _grid(digits, rng, rows=1, columns=int(rng.integers(2, 14)), lines=(False, False))


def _ruled_column(digits: Digits, rng: np.random.Generator) -> Grey:
    return _grid(digits, rng, rows=int(rng.integers(3, 20)), columns=int(rng.integers(1, 4)), lines=(True, True))


def _ruled_row(digits: Digits, rng: np.random.Generator) -> Grey:
    return _grid(digits, rng, rows=1, columns=int(rng.integers(2, 12)), lines=(True, True))


def _table(digits: Digits, rng: np.random.Generator) -> Grey:
    rows, columns = rng.integers(2, 10, 2)
    return _grid(digits, rng, rows=int(rows), columns=int(columns), lines=(True, bool(rng.random() < 0.8)))


def _block(digits: Digits, rng: np.random.Generator) -> Grey:
    rows, columns = rng.integers(2, 7, 2)
    return _grid(digits, rng, rows=int(rows), columns=int(columns), lines=(False, False))


def _frame(digits: Digits, rng: np.random.Generator) -> Grey:
    """Return a frame around nothing, or around two to four digits."""
    height, width = (int(side) for side in rng.integers(120, 500, 2))
    ink = _canvas(height + 40, width + 40)
    thickness = int(rng.integers(2, 9))
    ink[20:-20, 20:-20] = 0.9
    ink[20 + thickness : -20 - thickness, 20 + thickness : -20 - thickness] = 0
    count = int(rng.choice([0, 2, 3, 4]))
    side = int(min(height * 0.7, width / max(1, count) * 0.8))
    for index, digit in enumerate(digits.sample(count, rng).images):
        _put(ink, digit, 20 + width * (2 * index + 1) // (2 * count) - side // 2, 20 + (height - side) // 2, side)
    return _taken(ink, rng)


def _lines(digits: Digits, rng: np.random.Generator) -> Grey:
    """Return ruled or squared paper with a few words' worth of digits, or none."""
    height, width = (int(side) for side in rng.integers(200, 600, 2))
    ink = _canvas(height, width)
    step = int(rng.integers(18, 60))
    ink[step // 2 :: step] = 0.7
    if rng.random() < 0.5:
        ink[:, step // 3 :: step] = 0.7
    for digit in digits.sample(int(rng.choice([0, 3, 8])), rng).images:
        _put(ink, digit, int(rng.integers(0, width - step)), int(rng.integers(0, height - step)), step)
    return _taken(ink, rng)


KINDS: Final[dict[str, Draw]] = {
    "column": _column,
    "row": _row,
    "column with rulings": _ruled_column,
    "row of boxes": _ruled_row,
    "table": _table,
    "block": _block,
    "frame": _frame,
    "ruled paper": _lines,
}
