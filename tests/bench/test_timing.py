"""The timed loop calls as often and as long as it was asked to."""

import time

from edgemnist.pipeline.bench.timing import timed_calls

MS = 1_000_000


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
