"""The loops call as often and as long as they were asked to; queries come when they are due, and waits are counted."""

import time

import numpy as np
import pytest

from edgemnist.pipeline.bench.timing import answer_poisson, calls_for, duty_cycle, server, timed_calls, typical_call

IMAGES = np.zeros((4, 28, 28), np.uint8)
SINGLE = [IMAGES[index : index + 1] for index in range(4)]
MS = 1_000_000


def busy(_: object, seconds: float = 0.001) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_calls_are_as_many_and_take_as_long_as_was_asked_for() -> None:
    calls: list[int] = []
    assert len(timed_calls(calls.append, [1, 2, 3], samples=7, nanoseconds=0)) == 7
    assert calls == [1, 2, 3, 1, 2, 3, 1]
    started = time.perf_counter_ns()
    taken = timed_calls(time.sleep, [0.001], samples=1, nanoseconds=20 * MS)
    assert time.perf_counter_ns() - started >= 20 * MS
    # The last call is the one in which the time runs out.
    assert sum(taken[:-1]) < 20 * MS
    assert min(taken) >= MS


def test_queries_arrive_at_their_rate_and_have_taken_as_long_as_they_waited() -> None:
    started = time.perf_counter()
    assert len(answer_poisson(lambda _: None, SINGLE, 1_000, 200, seed=0)) == 200
    # 200 gaps of 1 ms on average: a sum with a deviation of 14 ms.
    assert time.perf_counter() - started > 0.14
    slept: list[float] = []
    started = time.perf_counter()
    answer_poisson(lambda _: None, SINGLE, 100, 5, seed=0, sleep=slept.append)
    # Every sleep ends a millisecond before its query is due.
    assert 0 < sum(slept) <= time.perf_counter() - started - 0.001 * len(slept)
    # Twice as many as can be answered: the queue grows, and with it what each query has waited.
    taken = answer_poisson(busy, SINGLE, 2_000, 100, seed=0)
    assert min(taken) >= MS
    assert np.median(taken[-20:]) > 20 * MS


@pytest.mark.all
def test_the_search_tries_rates_up_to_what_calls_without_a_pause_achieve() -> None:
    # A call of 0.02 ms: 50,000 a second, and a limit that is generous on a busy machine.
    trials = server(lambda _: busy(_, 0.00002), SINGLE, MS / 50, rate=None, limit_us=100_000, samples=0, nanoseconds=0)
    rates = [trial.setting for trial in trials]
    assert rates[0] == pytest.approx(500)
    assert max(rates) < 50_000
    held = [trial.setting for trial in trials if np.percentile(trial.samples, 99) <= 100 * MS]
    missed = [rate for rate in rates if rate not in held]
    # What held and what did not meet at one rate.
    assert not missed or max(held, default=0) < min(missed)


def test_a_limit_that_no_rate_holds_ends_the_search_at_once() -> None:
    trials = server(busy, SINGLE, MS / 100, rate=700.0, limit_us=0.001, samples=20, nanoseconds=0)
    assert [len(trial.samples) for trial in trials] == [20, 1_000]
    assert trials[0].setting == 700.0


def test_between_the_calls_of_a_duty_cycle_there_is_time_to_sleep() -> None:
    started = time.perf_counter()
    without, asleep = duty_cycle(lambda _: None, SINGLE, 1_000, rate=100, nanoseconds=0)
    assert time.perf_counter() - started >= 0.1
    assert (without.setting, asleep.setting) == (0, 100)
    assert (len(without.samples), len(asleep.samples)) == (1_000, 10)
    # The sleep is no part of a call.
    assert np.median(asleep.samples) < 5 * MS


def test_a_rate_that_cannot_be_reached_takes_no_longer_than_calls_without_a_pause() -> None:
    assert calls_for(50, typical=MS, samples=10, nanoseconds=1_000 * MS) == 50
    assert calls_for(1e9, typical=MS, samples=10, nanoseconds=1_000 * MS) == 1_000
    assert calls_for(1e300, typical=MS, samples=10, nanoseconds=0) == 10
    assert len(duty_cycle(lambda _: None, SINGLE, MS, rate=1e9, nanoseconds=50 * MS)[1].samples) == 50


def test_the_typical_call_is_taken_from_the_end_of_the_warm_up() -> None:
    assert typical_call([9_000_000, 500, 400, 6, 7, 8]) == pytest.approx(7)
