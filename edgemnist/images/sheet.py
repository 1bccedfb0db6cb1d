"""What models were given, as a picture to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

SCALE: Final = 8
"""Side of a pixel in the picture."""
GAP: Final = 8
GROUND: Final = 96
"""Grey between the images."""


def strip_png(images: Sequence[Sequence[Sequence[int]]]) -> bytes:
    """Return a PNG with 28×28 images side by side, eight times enlarged."""
    tiles = np.array(images, dtype=np.uint8).repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    framed = np.pad(tiles, ((0, 0), (GAP, GAP), (GAP, 0)), constant_values=GROUND)
    strip = np.pad(np.concatenate(list(framed), axis=1), ((0, 0), (0, GAP)), constant_values=GROUND)
    stream = io.BytesIO()
    Image.fromarray(strip).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
