"""Quantization follows its definition, for every scale and zero point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes.interface import ChunkedClassifier, are_probabilities, are_sigmoids, softmax
from edgemnist.model.runtimes.pixels import (
    Numbers,
    can_express,
    covered_range,
    decoder,
    dequantize_scores,
    encoder,
    quantize_pixels,
)

SCALES = st.floats(min_value=2**-13, max_value=2**-3, width=32, allow_subnormal=False)
DIGIT = InputSpec(shape=(28, 28))
IMAGE = np.arange(784, dtype=np.int64).reshape(1, 28, 28).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_are_scaled_to_one(dtype: type) -> None:
    out: npt.NDArray[Any] = np.empty(IMAGE.shape, dtype)
    encoder(Numbers(np.dtype(dtype)), DIGIT)(IMAGE, out)
    assert np.allclose(out, IMAGE / 255, atol=1e-3)
    scores = decoder(Numbers(np.dtype(dtype)))(out)
    assert scores.dtype == np.float32
    assert scores is not out


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        (Numbers(np.dtype(np.float32)), None),
        (Numbers(np.dtype(np.uint8)), None),
        # The ends come from images and get rounded: a tenth of the range is forgiven, and no more, at either.
        (Numbers(np.dtype(np.uint8), 1.09 / 255, 0), "0..1"),
        (Numbers(np.dtype(np.uint8), 1.11 / 255, 0), None),
        (Numbers(np.dtype(np.uint8), 0.89 / 255, 0), None),
        (Numbers(np.dtype(np.uint8), 1.55 / 255, 128), None),
        (Numbers(np.dtype(np.uint8), 2.1 / 255, 128), "-1..1"),
    ],
)
def test_a_range_is_recognized_by_both_of_its_ends(numbers: Numbers, name: str | None) -> None:
    assert covered_range(numbers) == name


@pytest.mark.parametrize(("dtype", "low"), [(np.int8, -128), (np.uint8, 0)])
def test_without_a_scale_the_numbers_are_the_pixels_themselves(dtype: type, low: int) -> None:
    table = quantize_pixels(Numbers(np.dtype(dtype)))
    assert table.tolist() == [value + low for value in range(256)]
    assert table.dtype == dtype
    scores = dequantize_scores(Numbers(np.dtype(dtype)))
    assert scores.tolist() == np.arange(256, dtype=np.uint8).view(dtype).tolist()
    assert scores.dtype == np.float32


def test_a_tensor_is_8_bit_or_a_float() -> None:
    known = [dtype for dtype in "?bBhHiIlLefd" if can_express(np.dtype(dtype))]
    assert known == list("bBefd")
    assert [Numbers(np.dtype(dtype)).storage for dtype in known] == [np.uint8, np.uint8, np.float16, np.float32, float]


SEEDS = st.integers(0, 2**32 - 1)


def logits(seed: int, classes: int, spread: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (5, classes)).astype(np.float32)


@given(seed=SEEDS, classes=st.integers(2, 62), spread=st.floats(0, 30))
def test_a_softmax_is_known_in_full_half_and_8_bit_precision(seed: int, classes: int, spread: float) -> None:
    exact = softmax(logits(seed, classes, spread))
    assert np.abs(exact.sum(axis=1) - 1).max() <= 1e-6
    # The output of an int8 softmax ends at 255/256.
    rounded = np.minimum(np.round(exact * 256), 255) / 256
    for probabilities in (exact, exact.astype(np.float16), rounded):
        assert are_probabilities(probabilities)


@given(seed=SEEDS, classes=st.integers(2, 400), spread=st.floats(1e-9, 30))
def test_logits_are_taken_for_no_probabilities_or_sigmoids_however_small(
    seed: int, classes: int, spread: float
) -> None:
    scores = logits(seed, classes, spread)
    assert not are_probabilities(scores)
    assert not are_sigmoids(scores)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_probabilities_of_another_scale_are_no_probabilities(factor: float) -> None:
    assert not are_probabilities(softmax(logits(0, 10, 3)) * factor)


def test_what_is_not_a_number_is_no_probability() -> None:
    assert not are_probabilities(np.full((5, 10), np.nan, dtype=np.float32))
    # Nor do sums that no float32 holds.
    assert not are_probabilities(np.full((5, 10), 3e38, dtype=np.float32))


class Answering(ChunkedClassifier):
    """Gives the same scores to every image, but none that are numbers to a black one."""

    def __init__(self, scores: np.ndarray) -> None:
        self._row = scores.astype(np.float32)
        self._set_up(Path("x"), None)

    @classmethod
    def load(cls, path: Path, **options: Any) -> Answering:
        """No file has it."""
        raise NotImplementedError

    def _scores(self, images: Images) -> Probabilities:
        return np.where(images.reshape(-1, 784).max(axis=1)[:, None] > 0, self._row, np.float32(np.nan))


@pytest.mark.parametrize(
    ("scores", "answered"),
    [([0.25, 0.75], [0.25, 0.75]), ([0.6, 0.9], [0.4, 0.6]), ([0.0, np.log(3)], [0.25, 0.75])],
    ids=["probabilities", "sigmoids", "logits"],
)
def test_a_picture_without_a_finite_answer_tells_no_meaning_of_scores(
    scores: list[float], answered: list[float]
) -> None:
    white = np.full((1, 28, 28), 255, np.uint8)
    classifier = Answering(np.array(scores))
    np.testing.assert_allclose(classifier.predict_proba(white)[0], answered, atol=1e-6)
    assert np.isnan(classifier.predict_proba(0 * white)).all()


@given(seed=SEEDS, shift=st.floats(-1e4, 1e4))
def test_a_softmax_depends_on_differences_alone_and_never_overflows(seed: int, shift: float) -> None:
    values = np.round(logits(seed, 10, 5))
    shifted = softmax(values + np.float32(round(shift)))
    np.testing.assert_allclose(shifted, softmax(values), atol=1e-6)
    assert shifted.dtype == np.float32
