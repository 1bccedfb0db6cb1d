"""How many test digits are right after a camera or a thin pen: python -m benchmarks.vision.predict [COUNT]."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.digits.images import normalize_digit
from edgemnist.digits.images.grey import Grey
from edgemnist.errors import ImageError
from tools.likeness.camera import photograph_digit
from tools.likeness.page import Digits
from tools.likeness.strokes import draw_thin

SEED: Final = 11
STROKE: Final = 40
"""Grey level from which a pixel of MNIST belongs to a stroke, not to its soft edge."""
Draw = Callable[[Grey, np.random.Generator], Grey]


def _tight(digit: Grey, rng: np.random.Generator) -> Grey:
    """Return a screenshot cropped to the digit."""
    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    crop = np.pad(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(rng.integers(1, 4)))
    size = crop.shape[1] * 10, crop.shape[0] * 10
    return np.asarray(Image.fromarray(255 - crop).resize(size, Image.Resampling.BICUBIC))


def _bare(digit: Grey, rng: np.random.Generator) -> Grey:  # noqa: ARG001 - as the other drawings
    """Return a drawing on grey paper, cropped to the ink."""
    rows, columns = (np.flatnonzero(digit.max(axis=axis) > STROKE) for axis in (1, 0))
    crop = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = crop.shape[1] * 10, crop.shape[0] * 10
    return 205 - np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC)) // 2


def _icon(digit: Grey, rng: np.random.Generator) -> Grey:
    """Return a photograph scaled down to 48×48."""
    return np.asarray(Image.fromarray(photograph_digit(digit, rng)).resize((48, 48)))


def _negative(digit: Grey, rng: np.random.Generator) -> Grey:
    return 255 - photograph_digit(digit, rng)


DRAWINGS: Final[dict[str, Draw]] = {
    "camera": photograph_digit,
    "thin lines": draw_thin,
    "cropped tightly": _tight,
    "cropped to the ink": _bare,
    "white on black": _negative,
    "48×48": _icon,
}


def main() -> None:
    """Measure, print and save."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    classifier = load_reference()
    chosen = evaluation_digits().sample(count, np.random.default_rng(SEED))
    figures: dict[str, object] = {
        "digits": count,
        "MNIST itself": float((classifier.predict(chosen.images) == chosen.labels).mean()),
    }
    for name, draw in DRAWINGS.items():
        images = normalized(chosen, draw)
        figures[name] = float((classifier.predict(images) == chosen.labels).mean())
    save("predict", figures)


def normalized(digits: Digits, draw: Draw) -> Grey:
    """Return pictures of digits as `predict` gives them to the model, uint8 [N, 28, 28]."""
    rng = np.random.default_rng(SEED)
    images = np.zeros((len(digits), 28, 28), dtype=np.uint8)
    for index, digit in enumerate(digits.images):
        try:
            images[index] = normalize_digit(Image.fromarray(draw(digit, rng))).image
        except ImageError:
            # Not found is wrong as well: an empty image stands in.
            continue
    return images


if __name__ == "__main__":
    main()
