"""How many digits are answered, and how many letters and scribbles refused: python -m benchmarks.vision.refuse.

Letters come from fonts, and scribbles are of a kind, that the likeness network was not trained on.
"""

from __future__ import annotations

import string
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.strokes import DIGIT_LIKE, draw_letter, scribble
from edgemnist.images import normalize_digit
from edgemnist.images.grey import Grey
from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE
from edgemnist.read.judge import judge

FONTS: Final = ("STIXGeneral", "cmr10", "cmss10", "script", "script-complex")
COPIES: Final = 3
SCRIBBLES: Final = 300
SEED: Final = 7


def main() -> None:
    """Measure, print and save."""
    rng = np.random.default_rng(SEED)
    classifier = load_reference()
    digits = evaluation_digits()
    verdicts = judge(classifier, digits.images)
    answered = verdicts.confidences >= DEFAULT_MIN_CONFIDENCE
    right = verdicts.classes == digits.labels

    def refused(pictures: list[Grey]) -> float:
        images = np.stack([normalize_digit(Image.fromarray(picture)).image for picture in pictures])
        return float((judge(classifier, images).confidences < DEFAULT_MIN_CONFIDENCE).mean())

    plain = [letter for letter in string.ascii_letters if letter not in DIGIT_LIKE]
    letters = [draw_letter(letter, font, rng) for font in FONTS for letter in plain for _ in range(COPIES)]
    alike = [draw_letter(letter, font, rng) for font in FONTS for letter in sorted(DIGIT_LIKE) for _ in range(COPIES)]
    scribbles = [scribble("loops", rng) for _ in range(SCRIBBLES)]
    save(
        "refuse",
        {
            "min_confidence": DEFAULT_MIN_CONFIDENCE,
            "digits": len(digits),
            "answered": float(answered.mean()),
            "right_of_answered": float(right[answered].mean()),
            "letters": len(letters),
            "letters_refused": refused(letters),
            "letters_like_digits": "".join(sorted(DIGIT_LIKE)),
            "letters_like_digits_refused": refused(alike),
            "scribbles": len(scribbles),
            "scribbles_refused": refused(scribbles),
        },
    )


if __name__ == "__main__":
    main()
