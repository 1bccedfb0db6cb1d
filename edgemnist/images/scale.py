"""Pictures made smaller and larger in integers, by the rules of the engine in C: the same bytes from both."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [h, w]"""

_SHARE_BITS = 22
"""Of a pixel's share in a mean."""


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height where the longer one becomes `side`: rounded, halves up, and at least 1."""
    longest = max(size)
    width, height = (max(1, (2 * length * side + longest) // (2 * longest)) for length in size)
    return width, height


def whole_factor(size: tuple[int, int], side: int) -> int:
    """Return how many pixels in a row become one, so that the longer side is less than twice `side`, and no less."""
    return max(1, max(size) // side)


def rescale(pixels: Pixels, side: int) -> Pixels:
    """Return a picture whose longer side is `side`: means of the pixels under each new one, or between them a cubic."""
    height, width = pixels.shape
    size = scaled_size((width, height), side)
    if side < max(width, height):
        return _box(_box(pixels, size[1]).T, size[0]).T
    # Pillow's numbers are those of the rule in `scale.h` for up to 100 new pixels, which no one asks more of.
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _box(pixels: Pixels, count: int) -> Pixels:
    """Return `count` rows instead of more: each pixel counts for the one that has its middle."""
    borders = (2 * np.arange(count + 1) * len(pixels) + count) // (2 * count)
    # 16 bits hold the sum of 257 rows, and add up twice as fast.
    dtype = np.uint16 if len(pixels) <= 256 * count else np.uint32
    sums = np.add.reduceat(pixels, borders[:-1], axis=0, dtype=dtype).astype(np.uint32)
    counts = np.diff(borders)[:, None]
    shares = (((2 << _SHARE_BITS) + counts) // (2 * counts)).astype(np.uint32)
    return np.asarray((sums * shares + np.uint32(1 << (_SHARE_BITS - 1)) >> _SHARE_BITS).astype(np.uint8))
