"""The two contracts that everything outside `runtimes/` speaks: images in, answers out."""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import DataError

WHITE: Final = 255
DIM: Final = 0.5
"""Share of white below which the brightest pixel of a call is no sign that its numbers are shares."""
DARK: Final = 32
"""Level below which fractions are no sign of 0 to 255: an eighth of white."""

Images: TypeAlias = npt.NDArray[np.uint8]
"""[N, ...], as an `InputSpec` says: uint8 [N, H, W] or [N, H, W, C] of pictures, float32 of numbers."""
Labels: TypeAlias = npt.NDArray[np.int64]
"""int64 [N], indices of classes."""
Probabilities: TypeAlias = npt.NDArray[np.float32]
"""float32 [N, C], each row adding up to 1."""


def batches(images: Images, size: int) -> Iterator[Images]:
    """Yield inputs, [N, ...], `size` at a time, the last ones fewer."""
    for start in range(0, len(images), size):
        yield images[start : start + size]


def as_digit(label: str) -> int | str:
    """Return a label as a number where it is one."""
    return int(label) if label.isdecimal() else label


def as_pixels(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return pixels of any shape as uint8: bytes as they are, whole numbers as 0 to 255, fractions as shares of white.

    Fractions of which one is larger than 1 are of 0 to 255, and rounded. Raises ValueError for what is no number or out
    of range; DataError where a picture may be shares of white as well as all but black: numbers up to 1 that are all
    whole, such as a mask, or below `DIM`, and fractions up to `DARK`, such as shares of which one is 1.001.
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
    if 0 < high < DARK:
        fractions = values.dtype.kind == "f" and bool((values % 1).any())
        if high < DIM or fractions == (high > 1):
            raise DataError(
                f"The brightest pixel is {high:g}, in {values.dtype}: a share of white, or of 0 to {WHITE} and black?",
                hint=f"Give bytes: pixels.astype(numpy.uint8), or (shares * {WHITE}).round().astype(numpy.uint8).",
            )
        values = values * WHITE if high <= 1 else values
    rounded: npt.NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return rounded
