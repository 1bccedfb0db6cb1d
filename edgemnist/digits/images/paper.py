"""Taking the paper away: uneven light, shadows and texture go, the ink stays."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.digits.images.fitting import MAX_PAPER_SIDE, Fitter, Light, Moments, fitter
from edgemnist.digits.images.grey import Grey, rescale

Ink: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [h, w]: how much of the light of the ground the ink takes, 0 for bare ground and 255 for all of it."""

GROUND_SIDE: Final = 96
"""Longer side of the copy on which the ground is estimated: light changes slowly, and grain averages out."""
DARKEST_GROUND: Final = 64
"""In deeper shade the quotient would show the sensor's noise as ink."""
FINE_SIDE: Final = 384
FINE_REACH: Final = 8
GROUND_REACH: Final = 16
"""Longer side of another copy, and how far the local mean reaches in both: fine for pages, coarse for bold digits."""
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
SOFT_REACH: Final = 3
"""Half the window of each of the three means, in each direction, that smooth the ground."""

_PART_BITS: Final = 7
_PART: Final = 1 << _PART_BITS
"""Places between two pixels are told in such parts."""
_SHARE_BITS: Final = 16
_DIVISORS: Final = np.maximum(np.arange(256), DARKEST_GROUND)
_SHARES: Final = (((255 << _SHARE_BITS + 1) + _DIVISORS) // (2 * _DIVISORS)).astype(np.int32)
"""255 times what one level is of a ground, in 65536ths: the index is the ground's level."""


def is_dark_on_light(grey: Grey) -> bool:
    """Return whether the ink is darker than its ground.

    Ink covers less than half of what is around it, so the deviations from the local mean are skewed to its side: on a
    fine scale for a page of writing, on a coarse one for a bold digit. The scale that is skewed more decides. Where
    there is hardly any ink, or the edges of sheets and shadows are all there is, what is bright is paper and what is
    dark is a board.
    """
    engine = _engine(grey)
    light = light_by_numpy(grey) if engine is None else engine.light(grey)
    skewness = max((_skewness(*light.fine), _skewness(*light.coarse)), key=abs)
    return skewness <= max(DIM, (light.brightness - BETWEEN) / PER_SKEWNESS)


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
    small = _copy(grey, GROUND_SIDE)
    near = dilate((small == level).astype(np.uint8), STROKE_REACH)
    return level if near.all() else None


def extract_ink(grey: Grey, *, dark: bool) -> Ink:
    """Return the ink of a picture of grey levels; `dark` tells whether it is darker than its ground.

    The ground is estimated as a morphological closing of the picture, which fills every stroke with what surrounds it.
    Ink takes a share of the light that falls on it, so the shade cancels in the quotient.
    """
    engine = _engine(grey)
    return extract_ink_by_numpy(grey, dark=dark) if engine is None else engine.extract_ink(grey, dark=dark)


def _engine(grey: Grey) -> Fitter | None:
    return fitter() if max(grey.shape) <= MAX_PAPER_SIDE else None


def light_by_numpy(grey: Grey) -> Light:
    """Return what the engine does; see `Light`."""
    fine = _copy(grey, FINE_SIDE)
    coarse = _copy(fine, GROUND_SIDE)
    return Light(_moments(fine, FINE_REACH), _moments(coarse, GROUND_REACH), float(np.median(coarse)))


def extract_ink_by_numpy(grey: Grey, *, dark: bool) -> Ink:
    """Return what the engine does: the same bytes."""
    light = grey if dark else 255 - grey
    small = _copy(grey, GROUND_SIDE)
    # A closing: strokes go, and what was widened shrinks again.
    ground = 255 - dilate(255 - dilate(small if dark else 255 - small, STROKE_REACH), STROKE_REACH)
    ground = _enlarge(_soften(ground), grey.shape)
    # In place, since fresh memory costs more than the arithmetic.
    ink = _SHARES[ground]
    ink *= ground - np.minimum(ground, light)
    ink += 1 << _SHARE_BITS - 1
    ink >>= _SHARE_BITS
    return np.asarray(ink.astype(np.uint8))


def _copy(grey: Grey, side: int) -> Grey:
    return rescale(grey, side) if max(grey.shape) > side else grey


def _moments(grey: Grey, reach: int) -> Moments:
    """Return how many pixels there are, and sums of squares and cubes of their deviations from the local mean."""
    window = 2 * reach + 1
    sums = np.pad(grey, reach, mode="edge").astype(np.int64)
    for _ in range(2):
        sums = _sums(sums, window).T
    count = window * window
    deviation = grey - (2 * sums + count) // (2 * count)
    square = deviation * deviation
    return grey.size, int(square.sum()), int((square * deviation).sum())


def _sums(values: npt.NDArray[np.int64], window: int) -> npt.NDArray[np.int64]:
    """Return the sums of so many rows at a time, of which there are fewer by `window - 1`."""
    cumulated = np.pad(values.cumsum(axis=0), ((1, 0), (0, 0)))
    return np.asarray(cumulated[window:] - cumulated[:-window])


def _skewness(pixels: int, squares: int, cubes: int) -> float:
    variance = squares / pixels
    return float(cubes / pixels / variance**1.5) if variance > 0 else 0.0


def _soften(ground: Grey) -> Grey:
    """Return nearly a Gaussian blur of 3.5 pixels: the mean of seven, three times in each direction."""
    window = 2 * SOFT_REACH + 1
    sums = np.pad(ground, 3 * SOFT_REACH, mode="edge").astype(np.int64)
    for _ in range(2):
        for _ in range(3):
            sums = _sums(sums, window)
        sums = sums.T
    weight = window**6
    return np.asarray(((sums + weight // 2) // weight).astype(np.uint8))


def _enlarge(small: Grey, shape: tuple[int, ...]) -> Grey:
    """Return a picture of this height and width, each pixel between four of the small one, by parts of 128."""
    for axis in (1, 0):
        length, count = shape[axis], small.shape[axis]
        place = (2 * np.arange(length) + 1) * count * (_PART // 2) // length
        place = np.clip(place - _PART // 2, 0, (count - 1) * _PART)
        at, part = (place >> _PART_BITS).astype(np.intp), (place % _PART).astype(np.int32)
        after = np.minimum(at + 1, count - 1)
        if axis:
            small = small[:, at] * (_PART - part) + small[:, after] * part
        else:
            small = small[at] * (_PART - part[:, None]) + small[after] * part[:, None]
    small += _PART * _PART // 2
    small >>= 2 * _PART_BITS
    return np.asarray(small.astype(np.uint8))


def dilate(values: Grey, reach: int) -> Grey:
    """Return the maximum over a square window that reaches `reach` pixels to each side, of uint8 [..., h, w]."""
    window = 2 * reach + 1
    for _ in range(2):
        widened = np.pad(values, [*[(0, 0)] * (values.ndim - 2), (reach, reach), (0, 0)], mode="edge")
        covered = 1
        # Twice as far with each step, and the last one overlaps.
        while covered < window:
            step = min(covered, window - covered)
            widened = np.maximum(widened[..., :-step, :], widened[..., step:, :])
            covered += step
        values = widened.swapaxes(-1, -2)
    return values
