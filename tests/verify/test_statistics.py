"""The tests of significance say what their definitions say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgemnist.verify.statistics import ECE_BINS, expected_calibration_error, mcnemar_p, wilson_interval


def test_mcnemars_p_is_that_of_a_tossed_coin() -> None:
    # 1 of 9 discordant images: 2 · (C(9, 0) + C(9, 1)) / 2^9
    assert mcnemar_p(8, 1) == pytest.approx(2 * 10 / 512)
    assert mcnemar_p(1, 8) == mcnemar_p(8, 1)
    assert mcnemar_p(5, 5) == 1.0
    assert mcnemar_p(0, 0) == 1.0
    large = mcnemar_p(60, 10)
    assert large is not None
    assert large < 1e-8


def test_wilsons_interval_is_that_of_the_formula() -> None:
    found = wilson_interval(9_800, 10_000)
    assert found is not None
    z, n, p = 1.959963984540054, 10_000, 0.98
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.low == pytest.approx((middle - half) / (1 + z * z / n))
    assert found.high == pytest.approx((middle + half) / (1 + z * z / n))
    perfect = wilson_interval(50, 50)
    assert perfect is not None
    assert perfect.low < perfect.high == pytest.approx(1.0)


def test_a_model_that_is_right_as_often_as_it_says_has_no_calibration_error() -> None:
    # 3 of 4 answers with a confidence of 0.75 are right.
    probabilities = np.tile(np.array([[0.75, 0.25]], np.float32), (4, 1))
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_overconfidence_is_the_calibration_error() -> None:
    probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (10, 1))
    labels = np.array([0] * 6 + [1] * 4)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.3)


def test_bins_do_not_lend_each_other_their_errors() -> None:
    """One bin too sure and one too shy do not make a calibrated model."""
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]], np.float32)
    labels = np.array([0, 1, 0, 0])
    assert math.ceil(0.95 * ECE_BINS) != math.ceil(0.55 * ECE_BINS)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.45)


def test_an_answer_that_is_no_number_counts_as_wrong_and_unsure() -> None:
    probabilities = np.full((3, 2), np.nan, np.float32)
    assert expected_calibration_error(probabilities, np.zeros(3, np.int64)) == 0.0


def test_each_answer_is_in_the_bin_of_its_confidence_open_below_and_closed_above() -> None:
    """Two answers whose errors cancel out within a bin, and count in two."""

    def error(one: float, other: float) -> float:
        probabilities = np.array([[one, 0.0], [other, 0.0]], np.float32)
        return expected_calibration_error(probabilities, np.array([0, 1]))

    def together(one: float, other: float) -> float:
        return abs((1 - one) - other) / 2

    def apart(one: float, other: float) -> float:
        return (1 - one + other) / 2

    width = 1 / ECE_BINS
    for number in range(ECE_BINS):
        low, inside, high = number * width + 0.002, (number + 0.5) * width, (number + 1) * width - 0.002
        assert error(low, high) == pytest.approx(together(low, high), abs=1e-6)
        if number:
            assert error(inside - width, inside) == pytest.approx(apart(inside - width, inside), abs=1e-6)
    # 0.2 is the end of a bin, and so is 1.
    assert error(0.19, 0.21) == pytest.approx(apart(0.19, 0.21), abs=1e-6)
    assert error(0.94, 1.0) == pytest.approx(together(0.94, 1.0), abs=1e-6)


def test_an_answer_is_right_if_its_own_largest_probability_is_the_labels() -> None:
    probabilities = np.array([[0.1, 0.9], [0.8, 0.2], [np.nan, 0.6]], np.float32)
    labels = np.array([1, 0, 1])
    assert expected_calibration_error(probabilities, labels) == pytest.approx((0.1 + 0.2 + 0.4) / 3, abs=1e-6)
    # Infinity is no confidence, either.
    assert expected_calibration_error(np.array([[np.inf, 0.0]], np.float32), np.array([0])) == 0.0
