"""Work that never changes, timed beside each artifact: how long it takes tells how fast the machine is just then.

Clocks rise and fall, and neighbours take their part of caches and memory, from one run to the next. What slows the
fixed work down slows an artifact down about as much, so that the ratio of the two holds still where neither does.
"""

from __future__ import annotations

import statistics
from typing import Final

from edgemnist.bench.timing import timed_calls

VALUES: Final = 16_384
"""float32 values in each of three arrays: with 192 KB they live where the weights of a model do, in the L2 cache."""
NANOSECONDS: Final = 10_000_000
CALLS: Final = 200
"""Timed calls, and their total, at the least."""
WARMUP_CALLS: Final = 50


def time_fixed_work() -> float:
    """Return the median time of adding two arrays, in nanoseconds.

    NumPy adds with vector instructions on one thread, however many CPUs there are, and needs no BLAS for it.
    """
    import numpy as np

    one, other, total = (np.ones(VALUES, np.float32) for _ in range(3))

    def add(_: object) -> None:
        np.add(one, other, out=total)

    timed_calls(add, [None], samples=WARMUP_CALLS, nanoseconds=0)
    return statistics.median(timed_calls(add, [None], samples=CALLS, nanoseconds=NANOSECONDS))
