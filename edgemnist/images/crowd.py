"""How crowded a picture is: what in 28×28 pixels looks like a digit may have been a table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from edgemnist.images.components import Mask, bounds, label_components
from edgemnist.images.find import FINDING_SIDE, INK_SHARE, block_maxima, choose_pieces, strong_ink
from edgemnist.images.grey import Grey
from edgemnist.images.paper import extract_ink

CROSSED: Final = 5.5
"""Strokes that nine of ten rows, or of ten columns, cross at most in a digit: of 2,400 digits, photographed or drawn,
three thin ones have 5, while grids, ruled columns and scribbles have 8 and more."""


class Crowd(NamedTuple):
    """What is on a picture."""

    crowded: bool
    """Whether more strokes lie side by side, in what would be taken for the digit, than in any digit."""
    pieces: int
    """Of ink that do not touch."""


NOBODY: Final = Crowd(crowded=False, pieces=0)


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
    return Crowd(crowded=_crossings(chosen[top:bottom, left:right]) > CROSSED, pieces=int(labels.max()))


def _crossings(mask: Mask) -> float:
    """Return how many strokes nine of ten rows, or columns, of a mask cross at most: the larger number of the two."""
    padded = np.pad(mask, 1).astype(np.int8)
    counts = (np.count_nonzero(np.diff(padded, axis=axis) == 1, axis=axis)[1:-1] for axis in (0, 1))
    return max(float(np.percentile(crossed, 90)) for crossed in counts)
