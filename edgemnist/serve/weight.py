"""What pictures take by their headers, before anything is decoded: pixels, and bytes of memory."""

from __future__ import annotations

import ctypes
import io
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from PIL import Image

from edgemnist.images.decode import FORMATS
from edgemnist.serve.config import Limits
from edgemnist.serve.faults import too_large

_STORED: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a pixel in Pillow's memory by mode; 4 in any other."""
LARGE_BYTES: Final = 2**25
"""Of decoded pictures, after which the memory is worth being given back."""


@dataclass(frozen=True)
class Weight:
    """What the pictures of a request take."""

    pixels: int
    """Of all of them; 0 for one that has no header."""
    bytes: int
    """Of memory, to decode the largest."""


def weigh(pictures: Sequence[bytes], limits: Limits) -> Weight:
    """Return what pictures take. Raises RefusedError where that is more than the limits allow."""
    pixels = heaviest = 0
    for picture in pictures:
        try:
            with Image.open(io.BytesIO(picture), formats=FORMATS) as image:
                own = image.width * image.height
                pixels += own
                heaviest = max(heaviest, own * _bytes_per_pixel(image))
        # The warning is an error where Python was told so.
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            pixels = limits.max_pixels + 1
        except Exception:  # noqa: BLE001, S112 - what is wrong with it is told by whoever decodes it
            continue
        if pixels > limits.max_pixels:
            raise too_large(
                f"The request has more than {limits.max_pixels:,} pixels, which is the limit",
                "Scale the picture down, or crop it.",
            )
        if heaviest > limits.decoded_bytes:
            raise too_large(
                f"The picture takes more than {limits.decoded_bytes:,} bytes to decode, which is the limit",
                "Scale it down, or save it as PNG or as a JPEG that is not progressive.",
            )
    return Weight(pixels, heaviest)


def _bytes_per_pixel(image: Image.Image) -> int:
    """Return what decoding takes at most: measured, and for each format the reason."""
    stored = _STORED.get(image.mode, 4)
    if image.format == "WEBP":
        # Two canvases of the decoder, what it hands over, and the picture.
        return 4 * stored
    if image.info.get("progressive"):
        # All coefficients, of two bytes each, until the last scan has come.
        return 3 * stored
    # A strip of a TIFF may be all of it, and a picture that EXIF turns is there twice.
    return 2 * stored


def forget_locals(error: BaseException | None) -> None:
    """Let go of the pictures that the functions had in hand through which an error has come."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def give_back_memory() -> None:
    """Return what large pictures took to the system: the C library keeps it for the next one, which may never come."""
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    # Of glibc only.
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
