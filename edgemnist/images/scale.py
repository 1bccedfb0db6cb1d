"""Pictures made smaller and larger in integers, by the rules of the engine in C: the same bytes from both."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [h, w]"""

SMALL: Final = 24
"""Ink of at most so many pixels a side, its soft edge included, is enlarged before anything is cut off or measured."""

_SHARE_BITS = 22
"""Of a pixel's share in a mean."""
_QUARTER_BITS: Final = 14
_QUARTERS: Final = ((257, -1736, 7206, 12583, -2425, 499, 0), (30, -501, 1977, 15936, -1393, 335, 0))
"""Shares of three pixels before, of a pixel itself and of three behind it in the first two of the four new ones that it
becomes: Lanczos' kernel of three lobes, 3/8 and 1/8 of a pixel before its middle."""


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


def quadruple(pixels: Pixels) -> Pixels:
    """Return a picture four times as large, with zeros around it: few pixels tell most about what lies between them."""
    return _four_rows(_four_rows(pixels.T).T)


def _four_rows(pixels: Pixels) -> Pixels:
    """Return four rows for each."""
    height, width = pixels.shape
    padded = np.pad(pixels, ((3, 3), (0, 0))).astype(np.int32)
    sums = np.empty((height, 4, width), dtype=np.int32)
    for row, shares in enumerate((*_QUARTERS, *(quarter[::-1] for quarter in _QUARTERS[::-1]))):
        sums[:, row] = sum(share * padded[at : at + height] for at, share in enumerate(shares))
    sums += 1 << (_QUARTER_BITS - 1)
    return np.asarray(np.clip(sums >> _QUARTER_BITS, 0, 255).astype(np.uint8).reshape(4 * height, width))


def _box(pixels: Pixels, count: int) -> Pixels:
    """Return `count` rows instead of more: each pixel counts for the one that has its middle."""
    borders = (2 * np.arange(count + 1) * len(pixels) + count) // (2 * count)
    # 16 bits hold the sum of 257 rows, and add up twice as fast.
    dtype = np.uint16 if len(pixels) <= 256 * count else np.uint32
    sums = np.add.reduceat(pixels, borders[:-1], axis=0, dtype=dtype).astype(np.uint32)
    counts = np.diff(borders)[:, None]
    shares = (((2 << _SHARE_BITS) + counts) // (2 * counts)).astype(np.uint32)
    return np.asarray((sums * shares + np.uint32(1 << (_SHARE_BITS - 1)) >> _SHARE_BITS).astype(np.uint8))
