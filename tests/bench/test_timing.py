"""The timed loop calls as often and as long as it was asked to, and hides no slow call."""

from __future__ import annotations

import time

from edgemnist.bench.quality import summarise
from edgemnist.bench.timing import slowed, timed_calls


def test_as_many_calls_are_timed_as_were_asked_for() -> None:
    calls: list[int] = []
    taken = timed_calls(calls.append, [1, 2, 3], samples=7, nanoseconds=0)
    assert len(taken) == 7
    assert calls == [1, 2, 3, 1, 2, 3, 1]


def test_calls_go_on_until_the_time_is_over() -> None:
    started = time.perf_counter_ns()
    taken = timed_calls(time.sleep, [0.001], samples=1, nanoseconds=20_000_000)
    assert time.perf_counter_ns() - started >= 20_000_000
    assert 2 <= len(taken) <= 20
    assert min(taken) >= 1_000_000


def test_a_tail_of_rare_slow_calls_shows_in_the_99th_percentile_and_the_mean() -> None:
    naps = [0.0] * 49 + [0.003]
    single = summarise([timed_calls(time.sleep, naps, samples=1_000, nanoseconds=0)])
    assert single["samples"] == 1_000
    assert single["p99_us"] is not None
    assert single["p99_us"] >= 3_000
    assert single["p50_us"] < 1_500
    assert single["mean_us"] >= 60


def test_a_call_that_is_slowed_down_takes_that_much_longer_and_answers_the_same() -> None:
    calls: list[int] = []

    def call(argument: int) -> int:
        calls.append(argument)
        time.sleep(0.002)
        return argument + 1

    slow = slowed(call, 1.5)
    (taken,) = timed_calls(slow, [0], samples=1, nanoseconds=0)
    assert taken >= 3_000_000
    assert slow(41) == 42
    assert calls == [0, 41]
