"""The likeness network, evaluated with NumPy, is the network that was trained."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.vision.synthetic.digits import Digits
from edgemnist.read.likeness import CHUNK, KERNELS, STRIDE, WEIGHTS_FILE, digit_likeness

Floats = npt.NDArray[np.float64]

THREE_BARS = np.zeros((1, 28, 28), dtype=np.uint8)
for left in (4, 12, 20):
    THREE_BARS[:, 4:24, left : left + 4] = 255


def convolved(image: Floats, kernels: Floats, bias: Floats) -> Floats:
    """Return the rectified convolution of [h, w, in] with [k, k, in, out], by its definition."""
    side = kernels.shape[0]
    rows = range(0, image.shape[0] - side + 1, STRIDE)
    columns = range(0, image.shape[1] - side + 1, STRIDE)
    sums = [
        [np.tensordot(image[y : y + side, x : x + side], kernels, axes=3) + bias for x in columns] for y in rows
    ]  # fmt: skip
    return np.asarray(np.maximum(np.array(sums), 0))


def by_definition(image: npt.NDArray[np.uint8]) -> Floats:
    with np.load(WEIGHTS_FILE) as stored:
        layers = [stored[name].astype(np.float64) for name in sorted(stored.files)]
    values = image[..., None] / 255
    for _ in KERNELS:
        kernels, bias, *layers = layers
        values = convolved(values, kernels, bias)
    hidden_weights, hidden_bias, out_weights, out_bias = layers
    odds = np.exp(np.maximum(values.ravel() @ hidden_weights + hidden_bias, 0) @ out_weights + out_bias)
    return np.asarray(odds[:-1] / odds.sum())


def test_the_probabilities_are_those_of_the_network_by_its_definition(digits: Digits) -> None:
    images = np.concatenate([digits.images[:3], THREE_BARS])
    expected = [by_definition(image) for image in images]
    np.testing.assert_allclose(digit_likeness(images), expected, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2, 3, CHUNK, CHUNK + 1])
def test_an_image_has_the_same_likeness_among_however_many(count: int, digits: Digits) -> None:
    together = digit_likeness(digits.images[:count])
    assert together.shape == (count, 10)
    for image, likeness in zip(digits.images[:count], together, strict=True):
        np.testing.assert_allclose(digit_likeness(image[None])[0], likeness, atol=1e-5)


def test_digits_are_alike_and_three_bars_are_not(digits: Digits) -> None:
    assert digit_likeness(THREE_BARS).sum() < 0.1
    own = digit_likeness(digits.images[:100])[np.arange(100), digits.labels[:100]]
    assert np.median(own) > 0.9
