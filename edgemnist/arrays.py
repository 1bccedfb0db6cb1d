"""The two contracts that everything outside `runtimes/` speaks: images in, answers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

IMAGE_SIDE = 28
WHITE: Final = 255

Images: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [N, 28, 28], white digit on black."""
Labels: TypeAlias = npt.NDArray[np.int64]
"""int64 [N], indices of classes."""
Probabilities: TypeAlias = npt.NDArray[np.float32]
"""float32 [N, C], each row adding up to 1."""


def batches(images: Images, size: int) -> Iterator[Images]:
    """Yield images, uint8 [N, 28, 28], so many at a time, the last ones fewer."""
    for start in range(0, len(images), size):
        yield images[start : start + size]


def as_digit(label: str) -> int | str:
    """Return a label as a number where it is one."""
    return int(label) if label.isdecimal() else label


def as_pixels(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return pixels of any shape as uint8.

    Whole numbers are pixels of 0 to 255. Fractions are shares of white, 0 to 1, if none of them is larger than 1, and
    pixels of 0 to 255 otherwise; they are rounded. Raises ValueError for values that are not numbers, and for numbers
    out of their range.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_ or values.dtype.kind not in "iuf":
        raise ValueError(f"pixels must be numbers, not {values.dtype}")
    if not values.size:
        return values.astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= WHITE:
        raise ValueError(f"pixels must be between 0 and {WHITE}, or between 0 and 1 (got {low:g} to {high:g})")
    if values.dtype.kind == "f" and high <= 1:
        values = values * WHITE
    rounded: npt.NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return rounded
