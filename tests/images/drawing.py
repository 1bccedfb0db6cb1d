"""Pictures of one digit that the tests draw, save and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.images import read_digit

Pixels = npt.NDArray[np.uint8]


def digit(side: int = 28) -> Pixels:
    """Return a white 7 on black, drawn in thick strokes."""
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[6:9, 8:20] = 255
    pixels[9:22, 15:18] = 255
    return pixels.repeat(side // 28, axis=0).repeat(side // 28, axis=1)


def read(image: Image.Image, tmp_path: Path, **options: Any) -> tuple[Pixels, bool]:
    """Save a picture (as PNG, unless `format` says otherwise), open it and turn it into MNIST's form."""
    path = tmp_path / "picture"
    image.save(path, **{"format": "PNG", **options})
    found = read_digit(path)
    return found.image, found.inverted


def same(image: Pixels, expected: Pixels, tolerance: int = 0) -> bool:
    return image.dtype == np.uint8 and bool((np.abs(image.astype(int) - expected.astype(int)) <= tolerance).all())
