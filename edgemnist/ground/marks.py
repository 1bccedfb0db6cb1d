"""Marks by which an image is recognized, so that none of the training is evaluated on."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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
