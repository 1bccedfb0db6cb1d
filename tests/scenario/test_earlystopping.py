"""The bound of a percentile agrees with MLPerf's load generator, and keeps its word."""

from __future__ import annotations

import numpy as np
import pytest

from edgemnist.scenario.run import early_stopping_bound, tolerated_misses


@pytest.mark.parametrize(
    ("queries", "discarded"),
    # What loadgen printed in published results: "Would discard N highest latency queries".
    [(100, 2), (201, 9), (659, 47), (708, 51), (2048, 172), (2145, 181), (7469, 685), (79944, 7796)],
)
def test_as_many_queries_are_discarded_as_by_loadgen(queries: int, discarded: int) -> None:
    assert tolerated_misses(queries) - 1 == discarded


def test_fewer_than_64_queries_bound_no_90th_and_fewer_than_662_no_99th_percentile() -> None:
    assert early_stopping_bound(list(range(63))) is None
    assert early_stopping_bound(list(range(64))) == 63
    assert tolerated_misses(661, percentile=0.99) == 0
    assert tolerated_misses(662, percentile=0.99) == 1


def test_the_true_percentile_lies_below_the_bound_in_99_of_100_runs() -> None:
    generator = np.random.default_rng(0)
    truth = -np.log(0.1)
    bounds = [early_stopping_bound(list(generator.exponential(size=300))) or 0.0 for _ in range(1_000)]
    assert 0.985 <= np.mean(np.array(bounds) >= truth) < 1.0
