"""The tests of significance say what their definitions say."""

import math

import numpy as np
import pytest

from edgemnist.ground.results.verify import SIGNIFICANT
from edgemnist.pipeline.verify.statistics import (
    ECE_BINS,
    binomial_tail,
    expected_calibration_error,
    is_significant_loss,
    mcnemar_p,
    wilson_interval,
)


def test_mcnemars_p_is_that_of_a_tossed_coin() -> None:
    # 1 of 9 discordant images: 2 · (C(9, 0) + C(9, 1)) / 2^9
    assert mcnemar_p(8, 1) == pytest.approx(2 * 10 / 512)
    assert mcnemar_p(1, 8) == mcnemar_p(8, 1)
    assert mcnemar_p(5, 5) == 1.0
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(60, 10) < 1e-8
    # Against whole numbers, up to as many as there are images.
    for broken, fixed in ((6, 0), (5, 0), (20, 5), (40, 13), (500, 430), (1_000, 960)):
        tosses, fewer = broken + fixed, min(broken, fixed)
        log2 = math.log2(sum(math.comb(tosses, count) for count in range(fewer + 1))) + 1 - tosses
        assert mcnemar_p(broken, fixed) == pytest.approx(2**log2, rel=1e-8)
    assert mcnemar_p(70_000, 0) == 0.0


@pytest.mark.parametrize(
    ("broken", "fixed", "significant"),
    [(5, 0, False), (6, 0, True), (0, 6, False), (8, 1, True), (7, 1, False), (9, 2, False), (10, 2, True)],
)
def test_a_loss_is_significant_from_a_chance_of_one_in_twenty(broken: int, fixed: int, *, significant: bool) -> None:
    """Seven to one has p = 0.07, nine to two 0.065, ten to two 0.039."""
    assert SIGNIFICANT == 0.05
    assert is_significant_loss(broken, fixed) == significant


def test_wilsons_interval_is_that_of_the_formula() -> None:
    found = wilson_interval(9_800, 10_000)
    z, n, p = 1.959963984540054, 10_000, 0.98
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.low == pytest.approx((middle - half) / (1 + z * z / n))
    assert found.high == pytest.approx((middle + half) / (1 + z * z / n))
    perfect = wilson_interval(50, 50)
    assert perfect.low < perfect.high == 1.0
    assert wilson_interval(0, 50).low == 0.0


@pytest.mark.parametrize(
    ("rows", "labels", "error"),
    [
        # 3 of 4 answers with a confidence of 0.75 are right.
        ([[0.75, 0.25]] * 4, [0, 0, 0, 1], 0.0),
        ([[0.9, 0.1]] * 10, [0] * 6 + [1] * 4, 0.3),
        # One bin too sure and one too shy do not make a calibrated model.
        ([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]], [0, 1, 0, 0], 0.45),
        # What is no number is wrong and unsure.
        ([[math.nan, math.nan]] * 3, [0, 0, 0], 0.0),
        ([[math.inf, 0.0]], [0], 0.0),
        ([[0.1, 0.9], [0.8, 0.2], [math.nan, 0.6]], [1, 0, 1], (0.1 + 0.2 + 0.4) / 3),
    ],
)
def test_the_calibration_error_is_how_far_confidence_is_from_accuracy(
    rows: list[list[float]], labels: list[int], error: float
) -> None:
    found = expected_calibration_error(np.array(rows, np.float32), np.array(labels))
    assert found == pytest.approx(error, abs=1e-6)


def test_each_answer_is_in_the_bin_of_its_confidence_open_below_and_closed_above() -> None:
    """Two answers whose errors cancel out within a bin, and count in two."""

    def error(one: float, other: float) -> float:
        probabilities = np.array([[one, 0.0], [other, 0.0]], np.float32)
        return expected_calibration_error(probabilities, np.array([0, 1]))

    def together(one: float, other: float) -> float:
        return abs((1 - one) - other) / 2

    def apart(one: float, other: float) -> float:
        return (1 - one + other) / 2

    assert ECE_BINS == 15
    width = 1 / ECE_BINS
    for number in range(ECE_BINS):
        low, inside, high = number * width + 0.002, (number + 0.5) * width, (number + 1) * width - 0.002
        assert error(low, high) == pytest.approx(together(low, high), abs=1e-6)
        if number:
            assert error(inside - width, inside) == pytest.approx(apart(inside - width, inside), abs=1e-6)
    # 0.2 is the end of a bin, and so is 1.
    assert error(0.19, 0.21) == pytest.approx(apart(0.19, 0.21), abs=1e-6)
    assert error(0.94, 1.0) == pytest.approx(together(0.94, 1.0), abs=1e-6)


@pytest.mark.parametrize("images", [1, 7, 100, 3_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.947, 1.0])
def test_the_tail_is_that_of_the_binomial_test(images: int, share: float) -> None:
    binomtest = pytest.importorskip("scipy.stats").binomtest
    for some in {0, 1, images // 2, images - 1, images}:
        exact = binomtest(some, images, share, alternative="less").pvalue
        assert binomial_tail(some, images, share) == pytest.approx(exact, rel=1e-9, abs=1e-12)
