"""Probabilities are known as such, however coarsely they were rounded, and logits are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.runtimes.interface import are_probabilities, softmax

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


@given(seed=SEEDS, classes=st.integers(2, 62), spread=st.floats(1, 30))
def test_logits_are_not_taken_for_probabilities(seed: int, classes: int, spread: float) -> None:
    assert not are_probabilities(logits(seed, classes, spread))


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_probabilities_of_another_scale_are_no_probabilities(factor: float) -> None:
    assert not are_probabilities(softmax(logits(0, 10, 3)) * factor)


def test_what_is_not_a_number_is_no_probability() -> None:
    assert not are_probabilities(np.full((5, 10), np.nan, dtype=np.float32))


@given(seed=SEEDS, shift=st.floats(-1e4, 1e4))
def test_a_softmax_depends_on_differences_alone_and_never_overflows(seed: int, shift: float) -> None:
    values = np.round(logits(seed, 10, 5))
    shifted = softmax(values + np.float32(round(shift)))
    np.testing.assert_allclose(shifted, softmax(values), atol=1e-6)
    assert shifted.dtype == np.float32
