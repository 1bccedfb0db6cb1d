"""What is printed on a page to be written into: its frames, combs, grids and tables."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.grey import Grey
from edgemnist.read.grid import Grid
from edgemnist.read.grids import find_grids
from edgemnist.read.lines import Mask, find_lines, thickest_line

FAINTEST: Final = 16
"""Of 255: what takes less of the light than this is no line, however even the paper is."""
NOISE: Final = 2.5
"""A line takes this many times as much of the light as the usual pixel of the paper beside it."""
HALO: Final = 0.35
"""What is weaker than this share of the strongest ink beside it is the soft edge of that."""
BESIDE: Final = 9
"""Side, in pixels, of the square in which that is looked for."""
DARKEST: Final = 64
"""In deeper shade the quotient would show the sensor's noise."""
FIELD: Final = 0.5
"""A dark field has less than this share of the light of the brightest paper that is near it."""
COARSE: Final = 8
AROUND: Final = 25
"""That is looked for within half of so many squares, each of so many pixels a side."""
LARGEST_FIELD: Final = 0.6
"""Share of the page's longer side; what is larger is the table around a sheet, or a shadow."""
RIM: Final = 5
"""Pixels, of which half are outside: the outline of a field is drawn two pixels wide."""


def find_structure(grey: Grey, *, dark: bool) -> list[Grid]:
    """Return the tables on a page, uint8 [h, w], from top to bottom; `dark` tells whether ink is darker than paper."""
    mask = line_mask(grey, dark=dark)
    level = find_lines(mask)
    if len(level) < 2:  # noqa: PLR2004 - a frame has two
        return []
    return find_grids(mask, level, find_lines(np.ascontiguousarray(mask.T)))


def line_mask(grey: Grey, *, dark: bool) -> Mask:
    """Return where something thin is on the page, uint8 [h, w]: 1 for ink that stands out from what is beside."""
    light = grey if dark else 255 - grey
    side = 2 * thickest_line(grey.shape) + 1
    closed = np.asarray(cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), dtype=np.uint8)
    # The share of the light that is taken, as in `images.paper`, against the paper right beside.
    contrast = np.asarray(cv2.divide(closed - light, np.maximum(closed, DARKEST), scale=255), dtype=np.uint8)
    level = max(FAINTEST, NOISE * _median(contrast))
    beside = cv2.dilate(contrast, np.ones((BESIDE, BESIDE), np.uint8))
    soft = np.asarray(cv2.convertScaleAbs(beside, alpha=HALO), dtype=np.uint8)
    return ((contrast >= level) & (contrast >= soft)).astype(np.uint8) | _rims(closed)


def _rims(closed: Grey) -> Mask:
    """Return the outlines of the dark fields of a page, uint8 [h, w], whose thin ink was taken away.

    A black square of a crossword puzzle ends where lines between two bright ones would be.
    """
    height, width = closed.shape
    # The brightest is taken of areas: a speck of light is no paper.
    small = cv2.resize(closed, (max(1, width // COARSE), max(1, height // COARSE)), interpolation=cv2.INTER_AREA)
    limit = cv2.convertScaleAbs(cv2.dilate(small, np.ones((AROUND, AROUND), np.uint8)), alpha=FIELD)
    dark = (small < limit).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(dark, 4, cv2.CV_32S, cv2.CCL_GRANA)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    # The first is the paper.
    is_field = (sides < LARGEST_FIELD * max(small.shape)) & (np.arange(len(sides)) > 0)
    if not is_field.any():
        return np.zeros_like(closed)
    limit[~cv2.dilate(is_field.astype(np.uint8)[labels], np.ones((3, 3), np.uint8)).astype(bool)] = 0
    fields = cv2.compare(closed, cv2.resize(limit, (width, height), interpolation=cv2.INTER_NEAREST), cv2.CMP_LT)
    rims = cv2.subtract(fields, cv2.erode(fields, np.ones((RIM, RIM), np.uint8)))
    return (np.asarray(rims, dtype=np.uint8) > 0).astype(np.uint8)


def _median(values: npt.NDArray[np.uint8]) -> float:
    counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel()
    return float(np.searchsorted(counts.cumsum(), values.size / 2))
