"""What it takes to bring a picture of one digit to MNIST's conditions: python -m benchmarks.vision.normalize [ROUNDS].

By the engine in C and by NumPy and Pillow, in turns, and beside them what many scripts do instead of finding the digit:
Pillow's `convert` and `resize` to 28×28 pixels.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from statistics import quantiles
from typing import Final
from unittest.mock import patch

import numpy as np
from PIL import Image

from benchmarks.vision.report import save
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.digits.images import normalize_digit
from edgemnist.ground.pictures import decode_image

ROUNDS: Final = 60
SIDES: Final = (280, 1024)
PHOTOGRAPH: Final = (3464, 2598)
"""Width and height: 9 megapixels."""
FITTERS: Final = tuple(f"edgemnist.digits.images{name}.fitter" for name in ("", ".mnist", ".paper"))


def main() -> None:
    """Measure, print and save."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    digit = Image.fromarray(255 - evaluation_digits().sample(1, np.random.default_rng(1)).images[0])
    pictures = {f"drawing of {side} pixels": digit.resize((side, side), Image.Resampling.BICUBIC) for side in SIDES}
    pictures[f"photograph of {PHOTOGRAPH[0]}×{PHOTOGRAPH[1]} pixels"] = _photograph(digit)
    figures = {}
    for name, picture in pictures.items():
        for mode in ("L", "RGB"):
            figures[f"{name}, {mode}"] = _compare(_decoded(picture.convert(mode)), rounds)
    save("normalize", {"rounds": rounds, "pictures": figures})


def _photograph(digit: Image.Image) -> Image.Image:
    """Return a digit on a sheet in uneven light, with a sensor's noise."""
    width, height = PHOTOGRAPH
    side = height // 2
    share = np.ones((height, width))
    large = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC)) / 255
    share[side // 2 : side // 2 + side, side // 2 : side // 2 + side] = 0.3 + 0.7 * large
    light = 210 - 60 * np.linspace(0, 1, width) - 30 * np.linspace(0, 1, height)[:, None]
    noise = np.random.default_rng(2).normal(0, 3, (height, width))
    return Image.fromarray((light * share + noise).clip(0, 255).astype(np.uint8))


def _decoded(picture: Image.Image) -> Image.Image:
    """Return a picture as it comes from a file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    file.seek(0)
    return decode_image(file, "the picture")


@contextmanager
def _without_engine() -> Iterator[None]:
    with ExitStack() as stack:
        for name in FITTERS:
            stack.enter_context(patch(name, lambda: None))
        yield


def _compare(picture: Image.Image, rounds: int) -> dict[str, object]:
    ways: dict[str, Callable[[], object]] = {
        "engine": lambda: normalize_digit(picture),
        "numpy": lambda: normalize_digit(picture),
        "pillow resize": lambda: picture.convert("L").resize((28, 28), Image.Resampling.BOX),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, way in ways.items():
            with _without_engine() if name == "numpy" else nullcontext():
                started = time.perf_counter()
                way()
                if round_number:
                    taken[name].append((time.perf_counter() - started) * 1e3)
    base = quantiles(taken["numpy"], n=4)[1]
    return {
        name: {
            "median_ms": round(middle, 3),
            "quartiles_ms": [round(low, 3), round(high, 3)],
            "by_numpy": round(middle / base, 3),
        }
        for name, (low, middle, high) in ((name, quantiles(values, n=4)) for name, values in taken.items())
    }


if __name__ == "__main__":
    main()
