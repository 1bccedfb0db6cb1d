"""What a classifier and the likeness network say together."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from edgemnist.read.likeness import LikenessNetwork, verdicts_of
from edgemnist.results.pictures import DIGITS
from edgemnist.runtimes.interface import Classifier


class Says:
    """A classifier and a likeness network that answer every image alike."""

    def __init__(self, labels: tuple[str, ...] = DIGITS, **probabilities: float) -> None:
        """Probabilities are of `d0` to `d9`, 0 where none is given."""
        self.labels = labels
        self._row = np.array([probabilities.get(f"d{digit}", 0.0) for digit in range(10)], dtype=np.float32)

    def predict_proba(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what was given, [N, 10]."""
        return np.tile(self._row, (len(images), 1))

    digit_likeness = predict_proba


def verdict(classifier: Says, likeness: Says) -> tuple[int, float, float]:
    images = np.zeros((1, 28, 28), dtype=np.uint8)
    verdicts = verdicts_of(cast("Classifier", classifier), images, cast("LikenessNetwork", likeness))
    return int(verdicts.classes[0]), float(verdicts.confidences[0]), float(verdicts.probabilities[0])


def test_a_one_with_a_flag_is_no_seven_though_the_classifier_is_sure_of_it() -> None:
    digit, _, probability = verdict(Says(d1=0.03, d7=0.97), Says(d1=0.8, d7=0.18))
    assert digit == 1
    assert probability == pytest.approx(0.03)
    assert verdict(Says(d1=0.03, d7=0.97), Says(d1=0.5, d7=0.48))[0] == 7


def test_what_an_int8_softmax_rounds_to_nothing_is_not_impossible() -> None:
    assert verdict(Says(d7=1.0), Says(d1=0.98, d7=0.01))[0] == 1


def test_what_lies_between_two_digits_is_less_sure_than_what_looks_odd() -> None:
    _, between, _ = verdict(Says(d4=0.5, d9=0.5), Says(d4=0.5, d9=0.5))
    _, odd, _ = verdict(Says(d4=1.0), Says(d4=0.3))
    assert between < odd == pytest.approx(0.3)


def test_what_is_no_digit_at_all_has_no_confidence() -> None:
    assert verdict(Says(d3=1.0), Says())[1] == 0


def test_a_classifier_of_other_things_is_taken_at_its_word() -> None:
    other = Says(labels=tuple("ABCDEFGHIJ"), d2=0.7, d3=0.3)
    digit, *certainties = verdict(other, Says(d3=1.0))
    assert digit == 2
    assert certainties == pytest.approx([0.7, 0.7])


class Reads:
    """A classifier and a likeness network with an answer of their own to each image."""

    labels = DIGITS

    def __init__(self, rows: np.ndarray[Any, Any]) -> None:
        self._rows = rows

    def predict_proba(self, _: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what was given, [N, 10]."""
        return self._rows

    digit_likeness = predict_proba


def test_every_image_is_judged_by_itself() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(10), (2, 5)).astype(np.float32)
    images = np.zeros((5, 28, 28), np.uint8)
    together = verdicts_of(cast("Classifier", Reads(rows[0])), images, cast("LikenessNetwork", Reads(rows[1] / 2)))
    for index in range(5):
        one = slice(index, index + 1)
        alone = verdicts_of(
            cast("Classifier", Reads(rows[0][one])), images[one], cast("LikenessNetwork", Reads(rows[1][one] / 2))
        )
        assert together.classes[index] == alone.classes[0]
        assert together.confidences[index] == pytest.approx(alone.confidences[0])
        assert together.probabilities[index] == alone.probabilities[0] == rows[0][index, alone.classes[0]]
