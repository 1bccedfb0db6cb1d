"""Figures against samples computed by hand."""

from __future__ import annotations

import pytest

from edgemnist.bench.quality import histogram, images_a_second, summarise


def test_percentiles_are_of_all_rounds_together() -> None:
    # 1 to 1,001 µs, dealt out to two rounds of different length.
    rounds = [[1_000 * value for value in range(1, 31)], [1_000 * value for value in range(1001, 30, -1)]]
    single = summarise(rounds)
    assert single["samples"] == 1001
    assert (single["p50_us"], single["p90_us"], single["p99_us"]) == pytest.approx((501.0, 901.0, 991.0))
    assert (single["mean_us"], single["min_us"]) == pytest.approx((501.0, 1.0))


def test_percentiles_between_two_samples_are_interpolated() -> None:
    assert summarise([[0, 10_000]])["p50_us"] == pytest.approx(5.0)
    assert summarise([[1_000 * value for value in range(100)]])["p90_us"] == pytest.approx(89.1)


@pytest.mark.parametrize(("name", "samples"), [("p90_us", 100), ("p99_us", 1_000), ("p999_us", 10_000)])
def test_a_percentile_with_too_few_samples_beyond_it_is_not_given(name: str, samples: int) -> None:
    assert summarise([[6_000] * (samples - 1)])[name] is None
    assert summarise([[6_000] * samples])[name] == 6.0


def test_the_coefficient_of_variation_is_the_deviation_over_the_mean() -> None:
    assert summarise([[1_000, 3_000]])["cv"] == pytest.approx(0.5)


def test_the_histogram_counts_every_sample_within_two_percent_of_where_it_is() -> None:
    samples = [[1, 5_100, 5_101], [6_000, 70_000_000]]
    found = histogram(samples)
    assert sum(found.counts) == 5
    for sample in (0.001, 5.1, 6.0, 70_000):
        assert any(edge <= sample * 1.0001 and sample < edge * 1.021 for edge in found.edges_us), sample


def test_throughput_is_the_batch_over_the_median_time() -> None:
    assert images_a_second(100, [[1_000_000, 2_000_000], [900_000_000]]) == pytest.approx(50_000.0)
