"""The default of --min-confidence.

It is the lowest threshold, in steps of a hundredth, above which 99.5 % of the answers are right and below which 92 % of
what is no digit are refused. Digits are those held out from the training split, half of them photographed, half of them
bent: the reference was trained on them as they are, and is never wrong there. What is no digit are scribbles, and
letters, all but those that are a zero or a one to anybody, of fonts that neither the likeness network nor the benchmark
has, handwriting among them. No test digit is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.errors import TrainingError
from edgemnist.images import normalize_digit
from edgemnist.images.mnist import fit_digit
from edgemnist.read.likeness import LikenessNetwork, verdicts_of
from edgemnist.read.provenance import Calibration
from edgemnist.runtimes.interface import Classifier
from edgemnist.train_likeness.drawings import HELD_OUT_FONTS, font_glyphs, hard_digits, not_digits
from edgemnist.train_likeness.harvest import WORD_LETTERS
from edgemnist.train_likeness.synthetic.camera import Picture, photograph_digit
from edgemnist.train_likeness.synthetic.page import Digits

RIGHT: Final = 0.995
REFUSED: Final = 0.92
ANSWERED: Final = 0.9
"""A network that refuses more of the digits is of no use, however right the other answers are."""
COUNT: Final = 600
"""Photographed digits, bent digits, and scribbles with blots, each."""
LETTER_COPIES: Final = 6
SEED: Final = 5


def calibrate(
    classifier: Classifier,
    network: LikenessNetwork,
    digits: Digits,
    *,
    artifact: str,
    artifact_sha256: str,
    likeness_sha256: str,
) -> Calibration:
    """Return the threshold for a classifier and a network, with what was measured at it.

    `digits` are held-out training digits. Raises TrainingError if no threshold reaches all shares.
    """
    rng = np.random.default_rng(SEED)
    photographed, bent = digits.sample(COUNT, rng), digits.sample(COUNT, rng)
    images = [normalize_digit(Image.fromarray(photograph_digit(image, rng))).image for image in photographed.images]
    images += [fit_digit(drawing) for drawing in hard_digits(bent.images, rng)]
    verdicts = verdicts_of(classifier, np.stack(images), network)
    right = verdicts.classes == np.concatenate([photographed.labels, bent.labels])
    letters = font_glyphs(WORD_LETTERS, rng, copies=LETTER_COPIES, fonts=HELD_OUT_FONTS)
    others = list(not_digits(digits.images, COUNT // 2, rng))
    scribbles = others[0::4] + others[1::4]
    foreign = [verdicts_of(classifier, _fitted(pictures), network).confidences for pictures in (letters, scribbles)]
    for threshold in np.arange(1, 100) / 100:
        answered = verdicts.confidences >= threshold
        refused = [float((confidences < threshold).mean()) for confidences in foreign]
        if answered.mean() < ANSWERED:
            break
        if right[answered].mean() >= RIGHT and min(refused) >= REFUSED:
            return Calibration(
                min_confidence=float(threshold),
                artifact=artifact,
                artifact_sha256=artifact_sha256,
                likeness_sha256=likeness_sha256,
                digits=len(right),
                answered=round(float(answered.mean()), 4),
                right_of_answered=round(float(right[answered].mean()), 4),
                letters_refused=round(refused[0], 4),
                scribbles_refused=round(refused[1], 4),
            )
    raise TrainingError(
        f"No threshold refuses {100 * REFUSED:.0f} % of the letters and scribbles and leaves {100 * RIGHT:.1f} % of "
        "the answers right: the likeness network or the classifier is too weak",
        hint="Train the likeness network for longer, or calibrate with a better artifact.",
    )


def _fitted(pictures: Iterable[Picture]) -> npt.NDArray[np.uint8]:
    return np.stack([fit_digit(picture) for picture in pictures])
