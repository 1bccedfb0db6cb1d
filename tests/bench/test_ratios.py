"""A ratio is formed within a round, and its interval contains the true one, also on a busy machine."""

import math

import msgspec
import numpy as np
import pytest

from edgemnist.ground.ratios import fastest_first, in_words, times_as_long, with_ratios
from edgemnist.ground.results.bench import KERAS, Ratio
from tests.bench.machine import ROUNDS, latency


def drawn(seed: int, *, between: float = 0.02, within: float = 0.02, load: float = 0.0) -> tuple[float, float, float]:
    """Return the ratio of two drawn models, the first of which takes twice as long, and its interval."""
    generator = np.random.default_rng(seed)
    busy = 1 + load * generator.exponential(size=ROUNDS)
    process = np.repeat(generator.normal(0, between, 2), ROUNDS // 2)
    ours = 2 * busy * np.exp(process + generator.normal(0, within, ROUNDS))
    theirs = busy * np.exp(generator.normal(0, within, ROUNDS))
    found = times_as_long(latency("a", list(ours)), latency("b", list(theirs)))
    return found.ratio, found.low, found.high


@pytest.mark.parametrize("load", [0.0, 5.0])
def test_the_interval_contains_the_ratio_in_19_of_20_runs_though_the_machine_is_busy(load: float) -> None:
    runs = [drawn(seed, load=load) for seed in range(200)]
    assert sum(low <= 2 <= high for _, low, high in runs) >= 185
    assert np.median([high / low for _, low, high in runs]) < 1.2


def test_what_slows_down_a_round_slows_down_both_and_leaves_the_ratio_alone() -> None:
    slowed = [10.0 if number % 3 else 1.0 for number in range(ROUNDS)]
    found = times_as_long(latency("a", [3 * one for one in slowed]), latency("b", slowed))
    assert found.ratio == pytest.approx(3)


def width(ours: float, theirs: float, waited: float = 0.0, starts: int = 2) -> float:
    rows = [latency(name, time, waited=waited) for name, time in (("a", ours), ("b", theirs))]
    first = msgspec.structs.replace(rows[0], starts=list(range(starts)))
    found = times_as_long(first, rows[1])
    return math.log(found.high / found.low)


def test_the_interval_is_wider_on_a_busy_machine_and_with_few_processes() -> None:
    assert width(2, 1, waited=0.9) > 1.2 * width(2, 1, waited=0.0) > 0
    assert width(2, 1, starts=1) > 2 * width(2, 1, starts=12)


def test_two_runs_are_compared_in_units_of_the_fixed_work_and_less_surely() -> None:
    now, then = latency("a", 12, run=2, fixed=20), latency("a", 5, run=1, fixed=10)
    found = times_as_long(now, then)
    assert found.ratio == pytest.approx(1.2)
    assert found.low < 1.2 / 1.04
    assert found.high > 1.2 * 1.04


def test_a_round_that_only_one_of_them_has_does_not_count() -> None:
    keras = latency(KERAS, [100.0] * 3)
    assert times_as_long(keras, latency("a", [1.0] * 3 + [9.0] * 21)).ratio == pytest.approx(100)


def test_the_fastest_is_found_in_one_run_by_its_times_and_in_two_by_the_fixed_work() -> None:
    a, b = latency("a", 2.0, fixed=10), latency("b", 3.0, fixed=20)
    assert [row.name for row in fastest_first([b, a])] == ["a", "b"]
    other = latency("b", 3.0, fixed=20, run=2)
    assert [row.name for row in fastest_first([a, other])] == ["b", "a"]


def test_each_row_is_compared_with_the_fastest_and_with_keras_of_as_many_threads() -> None:
    fastest, slow, keras = with_ratios([latency("a", 1.0), latency("b", 4.0), latency(KERAS, 100.0)])
    assert fastest.ratio is None
    assert (slow.ratio or Ratio(ratio=0, low=0, high=0)).ratio == pytest.approx(4)
    assert (fastest.speedup or Ratio(ratio=0, low=0, high=0)).ratio == pytest.approx(100)
    assert keras.speedup is None
    assert with_ratios([]) == []


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ((31, 29, 33), "31× (29 to 33)"),
        ((5.6, 5.4, 5.8), "5.6× (5.4 to 5.8)"),
        ((1.02, 0.98, 1.05), "1.02× (0.98 to 1.05)"),
    ],
)
def test_a_ratio_in_words(ratio: tuple[float, float, float], words: str) -> None:
    assert in_words(Ratio(ratio=ratio[0], low=ratio[1], high=ratio[2])) == words
