"""Timed loops in the process that measures.

NumPy is imported only once that process has been pinned.
"""

from __future__ import annotations

import itertools
import statistics
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any, Final


def timed_calls(
    call: Callable[[Any], object], arguments: Iterable[Any], *, samples: int, nanoseconds: int
) -> array[int]:
    """Return how long each call took, in nanoseconds, for at least `samples` calls and `nanoseconds` altogether.

    `arguments` are taken in turn, over and over. A sample contains one reading of the clock and the call itself: about
    0.1 µs.
    """
    clock = time.perf_counter_ns
    # Machine integers: a list would hold an object of 32 bytes for each sample, and they would show in the memory.
    taken = array("q")
    keep = taken.append
    missing = samples
    end = clock() + nanoseconds
    for argument in itertools.cycle(arguments):
        started = clock()
        call(argument)
        stopped = clock()
        keep(stopped - started)
        missing -= 1
        if missing <= 0 and stopped >= end:
            break
    return taken


VALUES: Final = 16_384
"""float32 values in each of three arrays: with 192 KB they live where the weights of a model do, in the L2 cache."""
NANOSECONDS: Final = 10_000_000
CALLS: Final = 200
"""Timed calls, and their total, at the least."""
FIXED_WARMUP_CALLS: Final = 50


def time_fixed_work() -> float:
    """Return the median time of adding two arrays, in nanoseconds.

    NumPy adds with vector instructions on one thread, however many CPUs there are, and needs no BLAS for it.
    """
    import numpy as np

    one, other, total = (np.ones(VALUES, np.float32) for _ in range(3))

    def add(_: object) -> None:
        np.add(one, other, out=total)

    timed_calls(add, [None], samples=FIXED_WARMUP_CALLS, nanoseconds=0)
    return statistics.median(timed_calls(add, [None], samples=CALLS, nanoseconds=NANOSECONDS))


BATCHES: Final = 5
"""Timed batches, at the least."""
