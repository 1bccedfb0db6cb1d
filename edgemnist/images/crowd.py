"""How crowded a picture is: what in 28×28 pixels looks like a digit may have been a table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.images.components import Mask, bounds, label_components
from edgemnist.images.find import (
    FINDING_SIDE,
    INK_SHARE,
    block_maxima,
    choose_pieces,
    strong_ink,
    ten_times_90th_percentile,
)
from edgemnist.images.grey import Grey
from edgemnist.images.paper import extract_ink

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
    found = bounds(chosen)
    if found is None:
        return NOBODY
    top, left, bottom, right = found
    mask, pieces = chosen[top:bottom, left:right], int(labels.max())
    abreast = _crossings(mask)
    return Crowd(
        crowded=max(abreast, _crossings(mask.T)) > CROSSED,
        pieces=pieces,
        single=pieces == 1 and abreast <= 1,
        dotted=_dotted(labels, np.where(chosen, labels, 0)),
    )


def _dotted(labels: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> bool:
    """Tell whether a piece of ink is a dot above or below the largest piece of what would be taken for the digit.

    `labels` are those of all pieces, int64 [h, w], and `chosen` those of the digit alone, 0 elsewhere.
    """
    main = int(np.bincount(chosen[chosen > 0]).argmax())
    top, left, bottom, right = bounds(labels == main) or (0, 0, 0, 0)
    height = bottom - top
    sizes = np.bincount(labels.ravel())
    size = sizes[main]
    sizes[[0, main]] = 0
    for piece in np.flatnonzero(sizes >= DOT_SIZE * size):
        place = bounds(labels == piece)
        if place is None:
            continue
        above, before, below, behind = place
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


def _crossings(mask: Mask) -> float:
    """Return how many strokes nine of ten rows of a mask cross at most."""
    starts = np.diff(np.pad(mask, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1
    return ten_times_90th_percentile(np.count_nonzero(starts, axis=1)) / 10
