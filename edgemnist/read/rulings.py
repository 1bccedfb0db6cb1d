"""Ruled and squared paper: the lines go, the strokes that cross them stay."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
"""uint8 [h, w]: 1 where there is ink."""

RUN_SHARE: Final = 1 / 20
"""A ruling has straight runs at least this long, as a share of the page's side; a slanted one is a staircase of them."""
SPAN_SHARE: Final = 0.4
"""A ruling is at least this long in all; no stroke of a digit is."""
MAX_THICKNESS: Final = 0.006
"""A ruling is at most this thick, as a share of the page's longer side, and 3 pixels where that is less."""


def erase_rulings(mask: Mask) -> Mask:
    """Return the mask without lines that run across the page, level or upright within a few degrees."""
    cleaned = _erase_level(mask)
    return np.ascontiguousarray(_erase_level(np.ascontiguousarray(cleaned.T)).T)


def _erase_level(mask: Mask) -> Mask:
    height, width = mask.shape
    run = max(8, round(width * RUN_SHARE))
    runs = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    if not runs.any():
        return mask
    thickness = max(3, round(max(mask.shape) * MAX_THICKNESS))
    # The steps of a staircase are joined before its length is taken.
    joined = cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((3, run), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    long = stats[:, cv2.CC_STAT_WIDTH] >= SPAN_SHARE * width
    thin = stats[:, cv2.CC_STAT_AREA] <= thickness * stats[:, cv2.CC_STAT_WIDTH]
    ruling = long & thin
    ruling[0] = False
    if not ruling[:count].any():
        return mask
    lines = cv2.dilate(ruling[labels].astype(np.uint8), np.ones((3, 1), np.uint8))
    # Where the ink reaches well beyond the line, up and down, a stroke crosses it.
    strokes = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thickness + 2, 1), np.uint8))
    return np.asarray(mask & ~(lines & ~strokes & 1) & 1, dtype=np.uint8)
