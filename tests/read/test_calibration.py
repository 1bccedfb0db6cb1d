"""The default threshold was set for the model that comes with the package."""

from __future__ import annotations

import hashlib
import json
import string

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.vision.refuse import FONTS
from edgemnist.exports import reference_directory
from edgemnist.images import normalize_digit
from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE, ReadConfig
from edgemnist.read.likeness import verdicts_of
from edgemnist.read.provenance import CALIBRATION_FILE, WEIGHTS_FILE
from edgemnist.runtimes.interface import Classifier
from edgemnist.train_likeness.synthetic.page import Digits
from edgemnist.train_likeness.synthetic.strokes import draw_letter, scribble


def test_the_threshold_was_calibrated_with_the_present_reference_and_likeness_network() -> None:
    record = json.loads(CALIBRATION_FILE.read_text())
    reference = reference_directory() / record["artifact"]
    for file, recorded in ((reference, "artifact_sha256"), (WEIGHTS_FILE, "likeness_sha256")):
        assert record[recorded] == hashlib.sha256(file.read_bytes()).hexdigest(), (
            f"{file.name} changed: edgemnist train-likeness --only-calibrate --out edgemnist/read"
        )
    assert record["min_confidence"] == DEFAULT_MIN_CONFIDENCE == ReadConfig().min_confidence


def test_clean_digits_are_answered_and_answered_right(digits: Digits, classifier: Classifier) -> None:
    verdicts = verdicts_of(classifier, digits.images)
    answered = verdicts.confidences >= DEFAULT_MIN_CONFIDENCE
    assert answered.mean() >= 0.95
    assert (verdicts.classes == digits.labels)[answered].mean() >= 0.995


def test_letters_and_scribbles_are_refused(classifier: Classifier) -> None:
    """All 52 letters; in fonts, and of a kind, that the likeness network was not trained on."""
    rng = np.random.default_rng(1)
    letters = [draw_letter(letter, font, rng) for font in FONTS for letter in string.ascii_letters]
    for drawings in (letters, [scribble("loops", rng) for _ in range(100)]):
        images = np.stack([normalize_digit(Image.fromarray(drawing)).image for drawing in drawings])
        assert (verdicts_of(classifier, images).confidences < DEFAULT_MIN_CONFIDENCE).mean() >= 0.9


@pytest.mark.parametrize("width", [4, 12, 30])
@pytest.mark.parametrize("lean", [-20, 0, 40])
def test_a_straight_stroke_is_a_one(width: int, lean: int, classifier: Classifier) -> None:
    """Though it is a small l or a capital I as well."""
    drawing = np.full((280, 280), 255, dtype=np.uint8)
    cv2.line(drawing, (140 + lean, 40), (140 - lean, 240), 0, width, cv2.LINE_AA)
    verdicts = verdicts_of(classifier, normalize_digit(Image.fromarray(drawing)).image[None])
    assert verdicts.classes[0] == 1
    assert verdicts.confidences[0] >= DEFAULT_MIN_CONFIDENCE
