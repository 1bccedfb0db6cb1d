"""The default threshold was set for the model that comes with the package."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from PIL import Image

from benchmarks.vision.refuse import FONTS
from benchmarks.vision.synthetic.digits import Digits
from benchmarks.vision.synthetic.strokes import DIGIT_LIKE, draw_letter, scribble
from edgemnist.exports import reference_directory
from edgemnist.images import normalize_digit
from edgemnist.read.config import CALIBRATION_FILE, DEFAULT_MIN_CONFIDENCE, ReadConfig
from edgemnist.read.judge import judge
from edgemnist.runtimes.interface import Classifier


def test_the_threshold_was_calibrated_with_the_present_reference() -> None:
    record = json.loads(CALIBRATION_FILE.read_text())
    reference = (reference_directory() / record["artifact"]).read_bytes()
    assert record["artifact_sha256"] == hashlib.sha256(reference).hexdigest(), (
        "the reference changed: python -m benchmarks.vision.calibrate"
    )
    assert record["min_confidence"] == DEFAULT_MIN_CONFIDENCE == ReadConfig().min_confidence


def test_clean_digits_are_answered_and_answered_right(digits: Digits, classifier: Classifier) -> None:
    verdicts = judge(classifier, digits.images)
    answered = verdicts.confidences >= DEFAULT_MIN_CONFIDENCE
    assert answered.mean() >= 0.95
    assert (verdicts.classes == digits.labels)[answered].mean() >= 0.995


def test_letters_and_scribbles_are_refused(classifier: Classifier) -> None:
    """In fonts, and of a kind, that the likeness network was not trained on."""
    rng = np.random.default_rng(1)
    letters = [
        draw_letter(letter, font, rng) for font in FONTS for letter in "acefhjkmnprtuvwxyACEFGHJKLMNPQRTUVWXY"
        if letter not in DIGIT_LIKE
    ]  # fmt: skip
    for drawings in (letters, [scribble("loops", rng) for _ in range(100)]):
        images = np.stack([normalize_digit(Image.fromarray(drawing)).image for drawing in drawings])
        assert (judge(classifier, images).confidences < DEFAULT_MIN_CONFIDENCE).mean() >= 0.9
