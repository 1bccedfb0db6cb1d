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
    return ((contrast >= level) & (contrast >= soft)).astype(np.uint8)


def _median(values: npt.NDArray[np.uint8]) -> float:
    counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel()
    return float(np.searchsorted(counts.cumsum(), values.size / 2))
