"""Figures against samples computed by hand."""

from __future__ import annotations

import pytest

from edgemnist.bench.statistics import images_a_second, median, summarise


def test_percentiles_are_of_all_rounds_together() -> None:
    # 1 to 101 µs, dealt out to two rounds of different length.
    rounds = [[1_000 * value for value in range(1, 31)], [1_000 * value for value in range(101, 30, -1)]]
    single = summarise(rounds)
    assert single.samples == 101
    assert (single.p50, single.p90, single.p99) == pytest.approx((51.0, 91.0, 100.0))
    assert (single.mean, single.min) == pytest.approx((51.0, 1.0))


def test_percentiles_between_two_samples_are_interpolated() -> None:
    single = summarise([[0, 10_000]])
    assert (single.p50, single.p90, single.p99) == pytest.approx((5.0, 9.0, 9.9))


def test_throughput_is_the_batch_over_the_median_time() -> None:
    assert images_a_second(100, [[1_000_000, 2_000_000], [900_000_000]]) == pytest.approx(50_000.0)


def test_median_of_an_even_number_is_between() -> None:
    assert median([4, 1, 2, 100]) == 3.0
