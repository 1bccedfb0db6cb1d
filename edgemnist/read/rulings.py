"""Ruled and squared paper: the lines go, the strokes that cross them stay."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
"""uint8 [h, w]: 1 where there is ink."""

RUN_SHARE: Final = 1 / 30
"""A ruling has straight runs at least this long, as a share of the page's side; slanted, it is a staircase."""
SPAN_SHARE: Final = 0.4
"""A ruling is at least this long in all; no stroke of a digit is."""
MAX_THICKNESS: Final = 0.006
"""A ruling is at most this thick, as a share of the page's longer side, and 3 pixels where that is less."""


def erase_rulings(mask: Mask) -> Mask:
    """Return the mask without lines that run across the page, level or upright within a few degrees."""
    upright = np.ascontiguousarray(mask.T)
    return np.asarray(mask & ~_level_rulings(mask) & ~_level_rulings(upright).T & 1, dtype=np.uint8)


def _level_rulings(mask: Mask) -> Mask:
    """Return 1 where there is a ruling and no stroke across it."""
    height, width = mask.shape
    thickest = max(3, round(max(height, width) * MAX_THICKNESS))
    run = max(8, round(width * RUN_SHARE))
    # Grain tears thin lines, which are mended before their runs are measured.
    mended = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    runs = cv2.morphologyEx(mended, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    lines = np.zeros_like(mask)
    # Most pages and frames are not ruled, which is seen before anything costly.
    if runs.max(axis=0).mean() < SPAN_SHARE:
        return lines
    # A slanted line is a staircase: its steps are joined before its length is taken.
    joined = cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((3, run), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    thickness = 0
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if w >= SPAN_SHARE * width and area <= thickest * w:
            thickness = max(thickness, -(-area // w))
            _draw_through(lines, labels[y : y + h, x : x + w] == label, x, y, -(-area // w) + 2)
    # Where the ink reaches well beyond the line, up and down, a stroke crosses it.
    strokes = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2 * thickness + 2, 1), np.uint8))
    return np.asarray((lines == 1) & (strokes == 0), dtype=np.uint8)


def _draw_through(lines: Mask, ruling: npt.NDArray[np.bool_], x: int, y: int, thickness: int) -> None:
    """Draw a ruling, of which parts were found, across the whole page: a parabola follows bent paper."""
    rows, columns = ruling.nonzero()
    width = lines.shape[1]
    parabola = np.polynomial.Polynomial.fit(columns + x, rows + y, 2)
    along = np.linspace(0, width - 1, 32)
    points = np.stack([along, parabola(along)], axis=1)
    cv2.polylines(lines, [np.rint(points).astype(np.int32)], isClosed=False, color=1, thickness=thickness)
