"""Finding the one digit in a picture, among specks, page edges and the rest of the sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.images.components import Mask, bounds, label_components
from edgemnist.images.paper import Ink
from edgemnist.images.scale import SMALL
from edgemnist.results.pictures import Box

FINDING_SIDE: Final = 160
"""Longer side of the copy on which the pieces are told apart."""
BLOCK: Final = 8
"""Side, at most, of the blocks whose darkest pixels tell how strong the ink is; at least 64 lie along a picture."""
MIN_CONTRAST: Final = 30
"""Ink below this, of 255, is not to be told from paper: a pencil on white paper leaves 60 or more."""
NOISE_MARGIN: Final = 4.0
"""Ink has to stand out by this factor from the darkest pixel of a usual block, which is empty."""
MAX_NOISE: Final = 80
"""Nothing stronger than this is grain, even where no block is empty, as in a bold digit that fills its picture."""
INK_TENTHS: Final = 4
INK_SHARE: Final = INK_TENTHS / 10
"""What is weaker than this share of the strong ink is not ink: rulings, show-through, stains. A line of one pixel that
falls between two is half as strong as where it falls on one."""
MIN_PIECE: Final = 2
"""A piece with less than so many hundredths of the digit's pixels is a speck."""
TALL: Final = 6
"""A piece of at least so many tenths of the digit's height that stands beside it is another digit, no broken stroke.
A piece farther from the digit than a third of its longer side is not part of it: a broken stroke is nearer, and so is
the dot of an i in all but 7 % of 82 fonts."""


@dataclass(frozen=True)
class Found:
    """Where a digit is, and its ink alone."""

    box: Box
    ink: Ink
    """uint8, of the box's size, and a pixel more to each side of a small one; 0 where it belongs to something else."""
    several: bool = False
    """Whether another piece, as tall as a digit beside this one, stands next to it."""


def find_digit(ink: Ink) -> Found | None:
    """Return the largest piece of ink that does not run into the picture's edge, and the pieces that belong to it.

    Where all ink runs into the edge, the largest of that. None if there is no ink.
    """
    strong = strong_ink(ink)
    if strong is None:
        return None
    factor = max(1, -(-max(ink.shape) // FINDING_SIDE))
    mask = block_maxima(ink, factor) >= max(1, -(-strong * INK_TENTHS // 10))
    chosen, several = choose_pieces(label_components(mask))
    top, left, bottom, right = (side * factor for side in _bounds(chosen))
    bottom, right = min(bottom, ink.shape[0]), min(right, ink.shape[1])
    box = left, top, right - left, bottom - top
    if max(box[2:]) <= SMALL - 2:
        # Of a few pixels, the soft edge of the outer strokes is a part that counts.
        left, top, right, bottom = max(0, left - 1), max(0, top - 1), right + 1, bottom + 1
    # A block beside the stroke is kept as well, since its soft edge reaches there.
    near = _widen(chosen).repeat(factor, axis=0).repeat(factor, axis=1)[: ink.shape[0], : ink.shape[1]]
    place = slice(top, bottom), slice(left, right)
    return Found(box, np.where(near[place], ink[place], 0), several)


def strong_ink(ink: Ink) -> int | None:
    """Return how strong the ink of a picture is where it is strongest, or None if there is only paper."""
    maxima = block_maxima(ink, min(BLOCK, max(1, max(ink.shape) // 64)))
    floor = np.clip(np.median(maxima) * NOISE_MARGIN, MIN_CONTRAST, MAX_NOISE)
    inked = maxima[maxima > floor]
    return ten_times_90th_percentile(inked) // 10 if inked.size else None


def ten_times_90th_percentile(values: npt.NDArray[Any]) -> int:
    """Return that of integers, at least one: the percentile lies between two neighbours in their order.

    NumPy's own gives a fraction, and imports its masked arrays: 8 MB.
    """
    values = np.sort(values)
    place, rest = divmod(9 * (values.size - 1), 10)
    following = int(values[min(place + 1, values.size - 1)])
    return int(values[place]) * (10 - rest) + following * rest


def choose_pieces(labels: npt.NDArray[np.int64]) -> tuple[Mask, bool]:
    """Return the pieces that make the digit, and whether there is another digit."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    at_edge = np.zeros(len(sizes), dtype=bool)
    at_edge[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    free = np.where(at_edge, 0, sizes)
    # A speck in the middle does not make a digit that was cropped too tightly an intruder.
    if 10 * free.max() < sizes.max():
        free = sizes
    main = int(free.argmax())
    chosen = labels == main
    top, left, bottom, right = _bounds(chosen)
    height, side = bottom - top, max(bottom - top, right - left)
    several = False
    for piece in np.flatnonzero(100 * free >= MIN_PIECE * sizes[main]):
        if piece == main:
            continue
        mask = labels == piece
        other = _bounds(mask)
        gaps = (other[0] - bottom, top - other[2], other[1] - right, left - other[3])
        several |= 10 * (other[2] - other[0]) >= TALL * height and max(gaps) >= 0
        if 3 * max(gaps) <= side:
            chosen |= mask
    return np.asarray(chosen), several


def _bounds(mask: Mask) -> tuple[int, int, int, int]:
    found = bounds(mask)
    if found is None:
        raise ValueError("a piece has pixels")
    return found


def block_maxima(ink: Ink, side: int) -> Ink:
    """Return the maximum of each block of `side`×`side` pixels; what is missing at the far edges counts as 0."""
    height, width = ink.shape
    if height % side or width % side:
        ink = np.pad(ink, ((0, -height % side), (0, -width % side)))
    # Row by row and column by column, which NumPy does many times faster than over two axes at once.
    rows = ink[0::side].copy()
    for offset in range(1, side):
        np.maximum(rows, ink[offset::side], out=rows)
    blocks = rows[:, 0::side].copy()
    for offset in range(1, side):
        np.maximum(blocks, rows[:, offset::side], out=blocks)
    return blocks


def _widen(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])
