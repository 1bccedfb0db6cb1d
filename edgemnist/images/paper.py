"""Taking the paper away: uneven light, shadows and texture go, the ink stays."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from edgemnist.images.grey import Grey
from edgemnist.images.scale import rescale

Ink: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [h, w]: how much of the light of the ground the ink takes, 0 for bare ground and 255 for all of it."""

GROUND_SIDE: Final = 96
"""Longer side of the copy on which the ground is estimated: light changes slowly, and grain averages out."""
DARKEST_GROUND: Final = 64
"""In deeper shade the quotient would show the sensor's noise as ink."""
SKEW_SCALES: Final = ((384, 8), (GROUND_SIDE, 16))
"""Longer side of a copy, and how far the local mean reaches in it: fine for pages, coarse for bold digits."""
BETWEEN: Final = 100.0
"""Grey level of a ground that is as likely paper as a board."""
PER_SKEWNESS: Final = 28.0
"""Grey levels that weigh as much as a skewness of 1. Measured: blank paper with shadows and rulings is skewed by up to
2.5 either way at levels of 130 to 240, and chalk by 2 and more at levels of up to 140."""
DIM: Final = -1.0
"""Ink is dark where the skewness is below this, however little light there is. Measured: -1.2 to -1.5 for a page of
print in dim light, at a level of 42."""
STROKE_REACH: Final = 14
"""Half the window, in pixels of that copy, that no stroke may fill: strokes up to a sixth of the picture are ink."""


def is_dark_on_light(grey: Grey) -> bool:
    """Tell whether the ink is darker than its ground.

    Ink covers less than half of what is around it, so the deviations from the local mean are skewed to its side: on a
    fine scale for a page of writing, on a coarse one for a bold digit. The scale that is skewed more decides. Where
    there is hardly any ink, or the edges of sheets and shadows are all there is, what is bright is paper and what is
    dark is a board.
    """
    copies = {side: _small(grey, side) for side, _ in SKEW_SCALES}
    skewness = max((_local_skewness(copies[side], reach) for side, reach in SKEW_SCALES), key=abs)
    brightness = float(np.median(copies[GROUND_SIDE]))
    return skewness <= max(DIM, (brightness - BETWEEN) / PER_SKEWNESS)


def plain_ground(grey: Grey) -> int | None:
    """Return 255 for a picture on pure white and 0 for one on pure black, as drawings are, or None for any other.

    More than half of the picture is of that colour, and no place is without it in its surroundings. Then this is the
    ground that `extract_ink` would find everywhere, and the ink is the picture itself.
    """
    level = 255 if grey[0, 0] > BETWEEN else 0
    if 2 * np.count_nonzero(grey == level) <= grey.size:
        level = 255 - level
        if 2 * np.count_nonzero(grey == level) <= grey.size:
            return None
    small = rescale(grey, GROUND_SIDE) if max(grey.shape) > GROUND_SIDE else grey
    near = _dilate((small == level).astype(np.uint8), STROKE_REACH)
    return level if near.all() else None


def _local_skewness(grey: Grey, reach: int) -> float:
    deviation = grey.astype(np.float32).ravel()
    deviation -= np.asarray(Image.fromarray(grey).filter(ImageFilter.BoxBlur(reach))).ravel()
    square = deviation * deviation
    variance = float(square.mean())
    return float(square @ deviation) / len(square) / variance**1.5 if variance > 0 else 0.0


def extract_ink(grey: Grey, *, dark: bool) -> Ink:
    """Return the ink of a picture of grey levels; `dark` tells whether it is darker than its ground.

    The ground is estimated as a morphological closing of the picture, which fills every stroke with what surrounds it.
    """
    light = grey if dark else 255 - grey
    ground = _ground(light)
    # Ink takes a share of the light that falls on it, so the shade cancels in the quotient. In place, since fresh
    # memory costs more than the arithmetic.
    share = ground - light
    np.maximum(ground, DARKEST_GROUND, out=ground)
    share /= ground
    share *= 255
    share += 0.5
    return np.asarray(np.clip(share, 0, 255, out=share).astype(np.uint8))


def _ground(light: Grey) -> npt.NDArray[np.float32]:
    closed = _erode(_dilate(_small(light, GROUND_SIDE), STROKE_REACH), STROKE_REACH)
    smooth = Image.fromarray(closed).filter(ImageFilter.GaussianBlur(STROKE_REACH / 4))
    height, width = light.shape
    return np.array(smooth.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def _small(grey: Grey, side: int) -> Grey:
    height, width = grey.shape
    scale = min(1, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _dilate(values: Grey, reach: int) -> Grey:
    """Return the maximum over a square window that reaches `reach` pixels to each side."""
    window = 2 * reach + 1
    for _ in range(2):
        widened = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
        covered = 1
        # Twice as far with each step, and the last one overlaps.
        while covered < window:
            step = min(covered, window - covered)
            widened = np.maximum(widened[:-step], widened[step:])
            covered += step
        values = widened.T
    return values


def _erode(values: Grey, reach: int) -> Grey:
    return 255 - _dilate(255 - values, reach)
