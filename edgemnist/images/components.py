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
