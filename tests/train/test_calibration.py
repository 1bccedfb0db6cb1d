"""Calibration: the temperature is the one that the labels ask for, and changes confidences but no answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.data.dataset import Dataset
from edgemnist.train.augment import Distortion
from edgemnist.train.calibration import LEAST, MOST, calibrated, temperature
from edgemnist.train.model import logits
from edgemnist.verify.statistics import expected_calibration_error as calibration_error

CLASSES = 10


def drawn(*, scale: float = 1.0, images: int = 40_000) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return logits, and labels drawn with the probabilities that `scale` times the logits have."""
    random = np.random.default_rng(0)
    values = random.normal(scale=2, size=(images, CLASSES)).astype(np.float32)
    # The class with the largest logit plus Gumbel noise is drawn with the softmax's probability.
    return values, (scale * values + random.gumbel(size=values.shape)).argmax(axis=1)


def softmax(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.5])
def test_the_temperature_with_which_labels_were_drawn_is_found(wanted: float) -> None:
    values, labels = drawn(scale=1 / wanted)
    assert temperature(values, labels) == pytest.approx(wanted, rel=0.03)


def test_where_no_temperature_is_best_it_stays_within_its_bounds() -> None:
    values, _ = drawn(images=500)
    assert temperature(values, values.argmax(axis=1)) == pytest.approx(LEAST)
    assert temperature(values, values.argmin(axis=1)) == pytest.approx(MOST)


def test_the_calibration_error_is_how_far_confidences_are_off() -> None:
    values, labels = drawn()
    assert calibration_error(softmax(values), labels) < 0.01
    assert calibration_error(softmax(3 * values), labels) > 0.1
    # Always 0.9 sure and always wrong.
    sure = np.full((50, CLASSES), 0.1 / (CLASSES - 1), np.float32)
    sure[:, 0] = 0.9
    assert calibration_error(sure, np.ones(50, np.int64)) == pytest.approx(0.9)
    assert calibration_error(sure, np.zeros(50, np.int64)) == pytest.approx(0.1)


def test_calibrated_weights_answer_the_same_and_are_surer_where_they_were_too_unsure(dataset: Dataset) -> None:
    # Nearest class mean: right on four of five digits, and hardly sure of any.
    images, labels = dataset.train.images.reshape(-1, 784) / np.float32(255), dataset.train.labels
    means = np.stack([images[labels == digit].mean(axis=0) for digit in range(CLASSES)])
    weights = [means.T * np.float32(0.05), -(means**2).sum(axis=1) * np.float32(0.025)]
    kept, found = calibrated(weights, dataset.train, Distortion(rotation=3, shift=0.5), 0, logits)
    assert 0 < found < 1
    shown = dataset.test.images.astype(np.float32) / 255
    before, after = (np.asarray(logits(some, shown)) for some in (weights, kept))
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    np.testing.assert_allclose(after * found, before, rtol=1e-4, atol=1e-5)
    errors = [calibration_error(softmax(values), dataset.test.labels) for values in (before, after)]
    assert errors[1] < 0.25 * errors[0]
