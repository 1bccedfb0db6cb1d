"""Rounding while training is the rounding of the exporters, and what it teaches survives the export."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from edgemnist.train.calibration import clipped, clipping_limits, rounded_activations, rounded_weights


@pytest.fixture
def weights() -> list[npt.NDArray[np.float32]]:
    """Return the weights of a network whose outputs differ a hundredfold in scale, one of them all zero."""
    random = np.random.default_rng(0)
    kernel = (random.standard_t(4, (400, 6)) * np.array([1, 0.1, 10, 0.5, 3, 0])).astype(np.float32)
    return [kernel, np.ones(6, np.float32), random.normal(size=(6, 3)).astype(np.float32), np.zeros(3, np.float32)]


def squared_error(kernel: npt.NDArray[np.float32], limit: npt.NDArray[np.float32], bits: int) -> float:
    step = np.maximum(limit, 1e-9) / (2 ** (bits - 1) - 1)
    steps = np.clip(np.rint(kernel / step), -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1)
    return float(((steps * step - kernel) ** 2).sum())


@pytest.mark.parametrize("bits", [4, 8])
def test_each_output_has_a_scale_of_its_own_and_as_many_steps_as_the_bits_allow(
    weights: list[npt.NDArray[np.float32]], bits: int
) -> None:
    limits = clipping_limits(weights, bits)
    rounded = [np.asarray(value) for value in rounded_weights(weights, limits, bits)]
    for column, limit in enumerate(limits[0]):
        steps = rounded[0][:, column] / (limit / (2 ** (bits - 1) - 1))
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert np.abs(steps).max() <= 2 ** (bits - 1) - 1 + 1e-3
    np.testing.assert_array_equal(rounded[1], weights[1])
    np.testing.assert_array_equal(rounded[0][:, 5], 0)


def test_the_limits_round_with_less_error_than_the_largest_weights_do(
    weights: list[npt.NDArray[np.float32]],
) -> None:
    limits = clipping_limits(weights, 4)
    largest = np.abs(weights[0]).max(axis=0)
    assert squared_error(weights[0], limits[0], 4) < 0.7 * squared_error(weights[0], largest, 4)


def test_clipped_weights_reach_their_limits_and_no_further(weights: list[npt.NDArray[np.float32]]) -> None:
    limits = clipping_limits(weights, 4)
    kept = clipped(weights, limits)
    assert (np.abs(kept[0]) <= limits[0]).all()
    some = limits[0] < np.abs(weights[0]).max(axis=0)
    assert some.any()
    np.testing.assert_array_equal(np.abs(kept[0]).max(axis=0)[some], limits[0][some])
    np.testing.assert_array_equal(kept[1], weights[1])


def test_the_gradient_passes_within_the_limits_and_stops_beyond() -> None:
    kernel, limit = tf.constant([[0.3], [0.9], [2.0]]), tf.constant([1.0])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(rounded_weights([kernel, tf.zeros(1)], [limit], 4)[0])
    np.testing.assert_array_equal(tape.gradient(total, kernel), [[1], [1], [0]])


def test_activations_are_rounded_to_255_steps_of_the_largest() -> None:
    values = np.random.default_rng(1).uniform(0, 7, (20, 30)).astype(np.float32)
    rounded = np.asarray(rounded_activations(tf.constant(values)))
    steps = rounded / (values.max() / 255)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-2)
    assert np.abs(rounded - values).max() <= 0.51 * values.max() / 255
    assert not np.asarray(rounded_activations(tf.zeros((2, 3)))).any()
