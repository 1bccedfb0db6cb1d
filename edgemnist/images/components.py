"""Where things are in a mask: bounds, and connected components of a few ten thousand pixels with NumPy alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def bounds(mask: Mask) -> tuple[int, int, int, int] | None:
    """Return top, left, bottom and right (both exclusive) of what is set in a mask, or None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def label_components(mask: Mask) -> npt.NDArray[np.int64]:
    """Return int64 [h, w]: 0 outside `mask`, and 1, 2, … for its 8-connected pieces, in reading order.

    Every pixel starts as a piece of its own, takes the least name among its neighbours and then that name's own name
    (pointer jumping), until nothing changes: a few dozen passes, where a flood fill takes a step a pixel.
    """
    labels = np.zeros(mask.shape, dtype=np.int64)
    found = bounds(mask)
    if found is not None:
        top, left, bottom, right = found
        part = np.s_[top:bottom, left:right]
        labels[part] = _label(mask[part])
    return labels


def _label(mask: Mask) -> npt.NDArray[np.int64]:
    height, width = mask.shape
    outside = height * width
    names = np.full((height + 2, width + 2), outside, dtype=np.int32)
    inner = names[1:-1, 1:-1]
    inner[mask] = np.flatnonzero(mask)
    while True:
        rows = np.minimum(np.minimum(names[:-2], names[1:-1]), names[2:])
        least = np.minimum(np.minimum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        # One more name, which stands for itself, so that `outside` can be looked up too.
        table = np.append(least.ravel(), np.int32(outside))
        renamed = np.where(mask, table[least], np.int32(outside))
        if np.array_equal(renamed, inner):
            break
        inner[...] = renamed
    is_piece = np.zeros(outside + 1, dtype=np.int64)
    is_piece[inner[mask]] = 1
    number = is_piece.cumsum()
    number[outside] = 0
    return number[inner]
