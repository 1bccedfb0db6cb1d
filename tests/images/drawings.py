"""Drawings as odd as people make them: of any shape, with several strokes, some at the edge, some of noise."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


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
