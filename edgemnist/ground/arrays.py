"""The two contracts that everything outside `runtimes/` speaks, images in and answers out; and marks of an image."""

import math
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


def as_number(label: str) -> int | str:
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


MOST_SEEN: Final = 0.01
"""Share of the evaluation images that may be among the training images: data sets have a few duplicates."""
MOST_ROWS_SEEN: Final = 0.1
"""The same of rows of numbers, of which coarse measurements have honest duplicates: beyond this, nothing is known."""
FEWEST_PIXELS: Final = 256
"""Pictures of fewer may agree in half of their pixels by chance."""
_SPREAD: Final = np.uint64(0x9E3779B1)
"""Knuth's multiplicative hash: its bits put neighbouring pixels into either half without a pattern."""
_SPREAD_BITS: Final = np.uint64(16)


def image_hashes(images: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the first 64 bits of the BLAKE2b of each input's bytes, [N, …], as uint64 [N]."""
    # OpenSSL takes a tenth of a small process's memory.
    import hashlib

    if images.dtype != np.uint8:
        # The same bytes on every machine, and -0.0 is 0.
        images = np.ascontiguousarray(images + np.float32(0), "<f4")
    data, size = memoryview(images.tobytes()), math.prod(images.shape[1:]) * images.itemsize
    parts = (data[start : start + size] for start in range(0, len(data), size))
    return np.frombuffer(b"".join(hashlib.blake2b(part, digest_size=8).digest() for part in parts), "<u8")


def image_marks(images: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return what pictures, uint8 [N, …], are recognized by even with a pixel changed: uint64 [N, 3].

    The hashes of all pixels, and of two halves that are scattered over the image: a changed pixel leaves one of them as
    it was. No test image of MNIST has a half in common with any of the 60,000 training images. Rows of numbers, float32
    [N, …], and small pictures have the first alone, uint64 [N, 1]: two may well agree in half of a few measurements.
    """
    pixels = images.reshape(len(images), -1)
    if images.dtype != np.uint8 or pixels.shape[1] < FEWEST_PIXELS:
        return image_hashes(pixels)[:, None]
    half = (np.arange(pixels.shape[1], dtype=np.uint64) * _SPREAD >> _SPREAD_BITS & np.uint64(1)).astype(bool)
    return np.stack([image_hashes(part) for part in (pixels, pixels[:, half], pixels[:, ~half])], axis=1)


def recognized(images: npt.NDArray[Any], marks: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return which of some inputs, [N, …], are among those of these marks, uint64 [M, 3] or [M, 1]: bool [N].

    Marks of an earlier edgemnist, uint64 [M], are the hashes of all pixels alone.
    """
    known = marks.reshape(len(marks), -1)
    matches = [np.isin(asked, seen) for asked, seen in zip(image_marks(images).T, known.T, strict=False)]
    return np.asarray(np.any(matches, axis=0))
