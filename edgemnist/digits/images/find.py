"""Finding the one digit in a picture, among specks, page edges and the rest of the sheet, and how crowded that is.

What in 28×28 pixels looks like a digit may have been a table.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.digits.images.grey import SMALL, Grey
from edgemnist.digits.images.paper import Ink, extract_ink
from edgemnist.digits.task import Box

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
NOWHERE: Final = (0, 0, 0, 0)
"""Bounds of nothing."""


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
    top, left, bottom, right = (side * factor for side in bounds(chosen) or NOWHERE)
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


def choose_pieces(labels: npt.NDArray[np.int64]) -> tuple["Mask", bool]:
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
    top, left, bottom, right = bounds(chosen) or NOWHERE
    height, side = bottom - top, max(bottom - top, right - left)
    several = False
    for piece in np.flatnonzero(100 * free >= MIN_PIECE * sizes[main]):
        if piece == main:
            continue
        mask = labels == piece
        other = bounds(mask) or NOWHERE
        gaps = (other[0] - bottom, top - other[2], other[1] - right, left - other[3])
        several |= 10 * (other[2] - other[0]) >= TALL * height and max(gaps) >= 0
        if 3 * max(gaps) <= side:
            chosen |= mask
    return np.asarray(chosen), several


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


def _widen(mask: "Mask") -> "Mask":
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])


CROSSED: Final = 5.5
"""Strokes that nine of ten rows, or of ten columns, cross at most in a digit: of 2,400 digits, photographed or drawn,
three thin ones have 5, while grids, ruled columns and scribbles have 8 and more."""

DOT_SIZE: Final = 0.04
"""Share of the digit's pixels below which a piece is a speck."""
DOT_SIDE: Final = 0.7
"""Side of a dot by the height of what it belongs to; that of a comma is low."""
DOT_GAP: Final = 2
"""Gap between a dot and what it belongs to, by the height of that: a semicolon is mostly gap."""
DOT_INK: Final = 0.6
"""Share of its box that a dot fills."""
ROUND: Final = 1.6
"""Longer side of a dot by its shorter one."""


class Crowd(NamedTuple):
    """What is on a picture."""

    crowded: bool
    """Whether more strokes lie side by side, in what would be taken for the digit, than in any digit."""
    pieces: int
    """Of ink that do not touch."""
    single: bool
    """Whether it is one piece, one stroke wide at nearly every height: a dash is, and `77` is not."""
    dotted: bool = False
    """Whether a dot stands above or below it, as in `!` and `;`."""


NOBODY: Final = Crowd(crowded=False, pieces=0, single=False)


def crowd(grey: Grey, *, dark: bool) -> Crowd:
    """Return how crowded a picture of grey levels is; `dark` tells whether its ink is darker than its ground."""
    factor = max(1, -(-max(grey.shape) // FINDING_SIDE))
    # The strongest ink of each block: a thin line is not lost.
    small = 255 - block_maxima(255 - grey, factor) if dark else block_maxima(grey, factor)
    ink = extract_ink(small, dark=dark)
    strong = strong_ink(ink)
    if strong is None:
        return NOBODY
    labels = label_components(ink >= max(1, strong * INK_SHARE))
    chosen, _ = choose_pieces(labels)
    top, left, bottom, right = bounds(chosen) or NOWHERE
    mask, pieces = chosen[top:bottom, left:right], int(labels.max())
    abreast = _crossings(mask)
    return Crowd(
        crowded=max(abreast, _crossings(mask.T)) > CROSSED,
        pieces=pieces,
        single=pieces == 1 and abreast <= 1,
        dotted=_dotted(labels, np.where(chosen, labels, 0)),
    )


def _dotted(labels: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> bool:
    """Return whether a piece of ink is a dot above or below the largest piece of what would be taken for the digit.

    `labels` are those of all pieces, int64 [h, w], and `chosen` those of the digit alone, 0 elsewhere.
    """
    main = int(np.bincount(chosen[chosen > 0]).argmax())
    top, left, bottom, right = bounds(labels == main) or NOWHERE
    height = bottom - top
    sizes = np.bincount(labels.ravel())
    size = sizes[main]
    sizes[[0, main]] = 0
    for piece in np.flatnonzero(sizes >= DOT_SIZE * size):
        above, before, below, behind = bounds(labels == piece) or NOWHERE
        tall, wide = below - above, behind - before
        at_edge = above == 0 or before == 0 or below == labels.shape[0] or behind == labels.shape[1]
        if (
            not at_edge
            and max(tall, wide) <= min(DOT_SIDE * height, ROUND * min(tall, wide))
            and sizes[piece] >= DOT_INK * tall * wide
            and left <= (before + behind) / 2 <= right
            and 0 <= max(above - bottom, top - below) <= DOT_GAP * height
        ):
            return True
    return False


def _crossings(mask: "Mask") -> float:
    """Return how many strokes nine of ten rows of a mask cross at most."""
    starts = np.diff(np.pad(mask, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1
    return ten_times_90th_percentile(np.count_nonzero(starts, axis=1)) / 10


Mask = npt.NDArray[np.bool_]


def bounds(mask: Mask) -> tuple[int, int, int, int] | None:
    """Return top, left, bottom and right (both exclusive) of what is set in a mask, or None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def label_components(mask: Mask) -> npt.NDArray[np.int64]:
    """Return int64 [h, w]: 0 outside `mask`, and 1, 2, … for its 8-connected pieces, in reading order.

    What is named are runs of pixels in a row, a few hundred, and not the pixels: a run takes the least name among the
    runs that it touches in the next row, and then that name's own name (pointer jumping), until nothing changes.
    """
    height, width = mask.shape
    # A column of nothing, so that no run goes on in the next row.
    stride = width + 1
    inside = np.zeros(height * stride + 1, dtype=np.int8)
    inside[1:].reshape(height, stride)[:, :width] = mask
    edges = np.diff(inside)
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    names = _name_runs(*_touching(starts, stops, stride), len(starts))
    is_first = names == np.arange(len(names))
    numbers = is_first.cumsum()[names]
    steps = np.zeros(height * stride, dtype=np.int64)
    steps[starts] = numbers
    steps[stops] -= numbers
    return steps.cumsum().reshape(height, stride)[:, :width]


Runs = npt.NDArray[np.int64]
"""int64 [N]: of runs in reading order, where they start or stop, counted through all rows, or what they are named."""


def _touching(starts: Runs, stops: Runs, stride: int) -> tuple[Runs, Runs]:
    """Return pairs of runs that touch, the upper one and the lower one, at a corner at least."""
    first = np.searchsorted(stops, starts + stride, side="left")
    last = np.searchsorted(starts, stops + stride, side="right")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    offsets = np.arange(len(upper)) - np.repeat(counts.cumsum() - counts, counts)
    return upper, np.repeat(first, counts) + offsets


def _name_runs(upper: Runs, lower: Runs, count: int) -> Runs:
    """Return for each run the first run of its piece."""
    names = np.arange(count)
    while True:
        ours, theirs = names[upper], names[lower]
        if np.array_equal(ours, theirs):
            return names
        least = np.minimum(ours, theirs)
        # The first run of a piece hears of it as well, and so all of the piece with it.
        for of in (ours, theirs):
            np.minimum.at(names, of, least)
        while not np.array_equal(renamed := names[names], names):
            names = renamed
