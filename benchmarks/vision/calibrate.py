"""Set the default of --min-confidence: python -m benchmarks.vision.calibrate.

Run it whenever the reference or the likeness network changes.

It is the lowest threshold, in steps of a hundredth, above which 99.5 % of the answers are right and below which 90 % of
what is no digit are refused, as is promised of clean digits and of the benchmark's letters. Here digits are the last
10,000 of the training split, half of them photographed, half of them bent: the reference was trained on them as they
are, and is never wrong there. What is no digit are scribbles, and letters, all 52 of them, of fonts that neither the
likeness network nor the benchmark has, handwriting among them. No test digit is used. Writes
`edgemnist/read/calibration.json`. Needs the full data set and some fonts, and says which.
"""

from __future__ import annotations

import hashlib
import json
import string
import sys
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.vision.not_digits import HELD_OUT_FONTS, font_glyphs, hard_digits, not_digits
from benchmarks.vision.report import load_reference, reference_artifact
from benchmarks.vision.synthetic.camera import Picture, photograph_digit
from benchmarks.vision.synthetic.digits import validation_digits
from benchmarks.vision.synthetic.fonts import require
from edgemnist.images import normalize_digit
from edgemnist.images.mnist import fit_digit
from edgemnist.read.config import CALIBRATION_FILE
from edgemnist.read.judge import judge
from edgemnist.read.likeness import WEIGHTS_FILE

RIGHT: Final = 0.995
REFUSED: Final = 0.9
COUNT: Final = 600
"""Photographed digits, bent digits, and scribbles with blots, each."""
LETTER_COPIES: Final = 6
SEED: Final = 5

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Measure, print and save."""
    require(HELD_OUT_FONTS)
    rng = np.random.default_rng(SEED)
    classifier = load_reference()
    digits = validation_digits()
    photographed, bent = digits.sample(COUNT, rng), digits.sample(COUNT, rng)
    images = [normalize_digit(Image.fromarray(photograph_digit(image, rng))).image for image in photographed.images]
    images += [fit_digit(drawing) for drawing in hard_digits(bent.images, rng)]
    verdicts = judge(classifier, np.stack(images))
    right = verdicts.classes == np.concatenate([photographed.labels, bent.labels])
    letters = font_glyphs(string.ascii_letters, rng, copies=LETTER_COPIES, fonts=HELD_OUT_FONTS)
    others = list(not_digits(digits.images, COUNT // 2, rng))
    scribbles = others[0::4] + others[1::4]
    foreign = [judge(classifier, _fitted(pictures)).confidences for pictures in (letters, scribbles)]
    for threshold in np.arange(1, 100) / 100:
        answered = verdicts.confidences >= threshold
        refused = [float((confidences < threshold).mean()) for confidences in foreign]
        if right[answered].mean() >= RIGHT and min(refused) >= REFUSED:
            break
    else:
        sys.exit("No threshold reaches both shares: the likeness network or the reference is too weak.")
    artifact = reference_artifact()
    record = {
        "min_confidence": float(threshold),
        "artifact": artifact.name,
        "artifact_sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
        "likeness_sha256": hashlib.sha256(WEIGHTS_FILE.read_bytes()).hexdigest(),
        "digits": len(right),
        "answered": round(float(answered.mean()), 4),
        "right_of_answered": round(float(right[answered].mean()), 4),
        "letters_refused": round(refused[0], 4),
        "scribbles_refused": round(refused[1], 4),
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text)
    CALIBRATION_FILE.write_text(text)


def _fitted(pictures: Iterable[Picture]) -> npt.NDArray[np.uint8]:
    return np.stack([fit_digit(picture) for picture in pictures])


if __name__ == "__main__":
    main()
