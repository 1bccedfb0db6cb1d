"""How many digits `predict` answers, and how much of what is not one digit: python -m benchmarks.vision.single [COUNT].

COUNT digits of each drawing, and a tenth as many pictures of each kind that is not one digit. With directories after
COUNT, the pictures in them, none of which may be one digit, are told as well.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.vision.predict import DRAWINGS, Draw
from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.several import KINDS
from edgemnist.digits.images import normalize_digit, open_image
from edgemnist.digits.images.grey import Grey
from edgemnist.digits.predict.refusal import assess, verdict
from edgemnist.digits.predict.run import expanded
from edgemnist.errors import ImageError
from edgemnist.model.runtimes.interface import Classifier

SEED: Final = 13
BLANK: Final = "blank"


def _as_it_is(digit: Grey, rng: np.random.Generator) -> Grey:  # noqa: ARG001 - as the other drawings
    return digit


def _enlarged(digit: Grey, rng: np.random.Generator) -> Grey:  # noqa: ARG001 - as the other drawings
    return np.asarray(Image.fromarray(255 - digit).resize((112, 112), Image.Resampling.BICUBIC))


def main() -> None:
    """Measure, print and save."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    classifier = load_reference()
    chosen = evaluation_digits().sample(count, np.random.default_rng(SEED))
    drawings: dict[str, Draw] = {"MNIST itself": _as_it_is, "enlarged": _enlarged, **DRAWINGS}
    digits = {}
    for name, draw in drawings.items():
        rng = np.random.default_rng(SEED)
        digits[name] = told(classifier, (Image.fromarray(draw(digit, rng)) for digit in chosen.images))
    others = {"of other hands": told(classifier, foreign_digits())}
    several = {}
    for name, kind in KINDS.items():
        rng = np.random.default_rng(SEED)
        several[name] = told(classifier, (Image.fromarray(kind(chosen, rng)) for _ in range(count // 10)))
    figures: dict[str, object] = {"digits": {**digits, **others}, "not one digit": several}
    for directory in sys.argv[2:]:
        pages = {path.name: told(classifier, [open_image(path)]) for path in expanded(Path(directory))}
        print({name: next(iter(said)) for name, said in pages.items()})
    save("single", figures)


def told(classifier: Classifier, pictures: Iterable[Image.Image]) -> dict[str, int]:
    """Return how often each verdict is given."""
    found: Counter[str] = Counter()
    for picture in pictures:
        try:
            normalized = normalize_digit(picture)
        except ImageError:
            found[BLANK] += 1
            continue
        (row,) = classifier.predict_proba(normalized.image[None])
        found[str(verdict(assess(normalized), [float(value) for value in row]))] += 1
    return dict(found)


def foreign_digits() -> Iterable[Image.Image]:
    """Return the 1,797 digits of 43 writers that come with scikit-learn, 8×8 pixels, enlarged."""
    from sklearn.datasets import load_digits

    for digit in load_digits().images:
        large = Image.fromarray((digit * 15.9).astype(np.uint8)).resize((80, 80), Image.Resampling.BICUBIC)
        canvas = Image.new("L", (112, 112))
        canvas.paste(large, (16, 16))
        yield canvas


if __name__ == "__main__":
    main()
