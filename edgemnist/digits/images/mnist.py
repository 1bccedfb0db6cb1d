"""One digit's ink, made to look as MNIST's digits were made.

The procedure is that of the data set's authors (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten
digits"; LeCun et al., "Gradient-based learning applied to document recognition", 1998): bilevel digits were scaled to
fit a box of 20×20 pixels with their aspect kept, the anti-aliasing made them grey, and they were placed with their
centre of mass in the middle of 28×28 pixels.
"""

from typing import Final

import numpy as np

from edgemnist.digits.images.find import bounds
from edgemnist.digits.images.fitting import MAX_SIDE, fitter
from edgemnist.digits.images.grey import SMALL, quadruple, rescale
from edgemnist.digits.images.paper import Ink

IMAGE_SIDE: Final = 28
"""Side of MNIST's images."""
BOX_SIDE: Final = 20
"""Side of the box that a digit is scaled to fit."""
OVERSAMPLING: Final = 5
"""Strokes are measured and thickened at this multiple of the final resolution."""

MIN_STROKE: Final = 2.2
"""Width, in pixels of the final picture, to which thinner strokes are thickened: the lower quartile of MNIST, measured
by `stroke_width` over the training images (5 % 1.8, 25 % 2.2, 50 % 2.6, 75 % 3.1, 95 % 4.2)."""
MAX_STROKE: Final = 4.2
"""Width to which thicker strokes are thinned: bold print, and what a lens has blurred. Few of MNIST's are thicker."""

LEFT: Final = 3
"""Strokes are not thinned to less than so many tenths of their ink: a blot stays one."""

HALF: Final = 127
"""A pixel that is stronger lies more than half within a stroke."""
EDGE_LOW: Final = 3
EDGE_HIGH: Final = 7
"""Between these tenths of the stroke's own contrast lies its edge, which a lens has blurred: below is ground, above is
ink."""


def fit_digit(ink: Ink) -> Ink:
    """Return the ink of one digit, uint8 [h, w], as MNIST would have it: uint8 [28, 28], black without ink.

    The engine in C does it where it is compiled, and NumPy elsewhere: both give the same bytes.
    """
    engine = fitter()
    return engine.digit(ink) if engine is not None and max(ink.shape) <= MAX_SIDE else fit_by_numpy(ink)


def fit_by_numpy(ink: Ink) -> Ink:
    """Return what `fit_digit` does, whether there is an engine or not."""
    if not (ink > 0).any():
        return np.zeros((IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    if max(ink.shape) <= SMALL:
        ink = quadruple(ink)
    # Scaled first: lines thinner than a pixel, which come out as dashes in the picture, are even after that.
    large = _sharpen(rescale(_crop(ink, EDGE_LOW * int(ink.max())), BOX_SIDE * OVERSAMPLING))
    return _centre(rescale(_even_out(_crop(large, 10 * HALF)), BOX_SIDE))


def _even_out(strokes: Ink) -> Ink:
    """Bring strokes of five times the final size to the widths that MNIST has."""
    area, outline = _area_and_outline(strokes)
    # Their width is 2 * area / outline.
    least, most = round(MIN_STROKE * OVERSAMPLING), round(MAX_STROKE * OVERSAMPLING)
    if (lacking := least * outline - 2 * area) >= outline:
        return _thicken(strokes, half_even(lacking, 2 * outline))
    if (excess := 2 * area - most * outline) >= outline:
        return _thin(strokes, half_even(excess, 2 * outline))
    return strokes


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient to the nearest, halves to the even one."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def stroke_width(strokes: Ink) -> float:
    """Return the mean width of strokes in pixels: twice their area by the length of their outline."""
    area, outline = _area_and_outline(strokes)
    return 2 * area / outline


def _area_and_outline(strokes: Ink) -> tuple[int, int]:
    """Return how many pixels lie within strokes, and how many of them, at least 1, have a neighbour that does not."""
    inside = strokes > HALF
    # What lies on the rim of the array has no neighbour there, and so belongs to the outline.
    core = inside[1:-1, 1:-1] & inside[:-2, 1:-1]
    core &= inside[2:, 1:-1]
    core &= inside[1:-1, :-2]
    core &= inside[1:-1, 2:]
    area = int(np.count_nonzero(inside))
    return area, max(1, area - int(np.count_nonzero(core)))


def _sharpen(ink: Ink) -> Ink:
    """Give the strokes the same full intensity, whatever pen drew them and however soft the lens was."""
    contrast = stroke_contrast(ink)
    if contrast == 0:
        return ink
    # The contrast is a whole or a half: 255 * (value / contrast - low) / (high - low), rounded, in integers.
    twofold, span = round(2 * contrast), EDGE_HIGH - EDGE_LOW
    full = (510 * (20 * np.arange(256) - EDGE_LOW * twofold) + span * twofold) // (2 * span * twofold)
    return np.asarray(np.clip(full, 0, 255).astype(np.uint8)[ink])


def stroke_contrast(ink: Ink) -> float:
    """Return the intensity inside the strokes: the median of what is darker than half of the darkest."""
    strong = ink[ink > ink.max() / 2]
    return float(np.median(strong)) if strong.size else 0.0


def _crop(strokes: Ink, level: int) -> Ink:
    """Cut away the margins where nothing is stronger than a tenth of `level`."""
    found = bounds(strokes > level // 10)
    if found is None:
        return strokes
    top, left, bottom, right = found
    return strokes[top:bottom, left:right]


def _thicken(strokes: Ink, steps: int) -> Ink:
    """Grow strokes by `steps` pixels to each side; squares and crosses in turn make the brush an octagon."""
    height, width = strokes.shape
    grown = np.zeros((height + 2 * steps, width + 2 * steps), dtype=np.uint8)
    grown[steps : steps + height, steps : steps + width] = strokes
    padded = np.zeros((height + 2 * steps + 2, width + 2 * steps + 2), dtype=np.uint8)
    for step in range(steps):
        padded[1:-1, 1:-1] = grown
        rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        if step % 2:
            grown = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        else:
            grown = np.maximum(rows[:, 1:-1], np.maximum(padded[1:-1, :-2], padded[1:-1, 2:]))
    return grown


def _thin(strokes: Ink, steps: int) -> Ink:
    """Shrink strokes by `steps` pixels from each side, where that leaves most of them."""
    ground = 255 - _thicken(255 - np.pad(strokes, steps + 1), steps)
    thinned = ground[steps:-steps, steps:-steps]
    return thinned if 10 * np.count_nonzero(thinned > HALF) > LEFT * np.count_nonzero(strokes > HALF) else strokes


def _centre(digit: Ink) -> Ink:
    """Place a digit of at most 20×20 with its centre of mass on pixel (14, 14) of 28×28, as far as it stays inside.

    That is where MNIST has it: between 13.5 and 14.5 in every training image, counted from 0.
    """
    frame = np.zeros((IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    total = int(digit.sum()) or 1
    corner = []
    for axis, size in enumerate(digit.shape):
        moment = int(digit.sum(axis=1 - axis, dtype=np.int64) @ np.arange(size))
        wanted = half_even(max(0, IMAGE_SIDE // 2 * total - moment), total)
        corner.append(min(wanted, IMAGE_SIDE - size))
    top, left = corner
    frame[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return frame
