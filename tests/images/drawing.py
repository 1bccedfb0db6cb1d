"""Pictures that the tests draw, save and read: one digit, and what is as odd as people make it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from edgemnist.digits.images import read_digit

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


def random_drawing(seed: int, *, largest: int = 0) -> Image.Image:
    """Return a picture of grey levels of up to `largest` pixels a side, by default up to 30, 120, 300 or 700."""
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(1, largest or rng.choice([30, 120, 300, 700]), 2))
    kind = int(rng.integers(0, 8))
    if kind == 7:
        return Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8))
    if kind == 6:
        return Image.fromarray(((rng.random((height, width)) < 0.3 * rng.random()) * 255).astype(np.uint8))
    ground = int(rng.choice([0, 255]))
    image = Image.new("L", (width, height), ground)
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 5))):
        points = list(zip(rng.integers(0, width, 4).tolist(), rng.integers(0, height, 4).tolist(), strict=True))
        pen.line(
            points, fill=int(rng.integers(0, 256)), width=int(rng.integers(1, max(2, min(width, height) // 3 + 1)))
        )
    if rng.random() < 0.4:
        image = image.rotate(float(30 * rng.random()), resample=Image.Resampling.BICUBIC, fillcolor=ground)
    return image
