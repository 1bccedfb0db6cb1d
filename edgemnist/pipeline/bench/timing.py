"""Timed loops, and scenarios as loops around a classifier, in the process that measures.

NumPy is imported only once that process has been pinned.
"""

from __future__ import annotations

import itertools
import statistics
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from edgemnist.errors import UnknownNameError, UsageError, check_range

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images

SINGLE_STREAM: Final = "single-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
DUTY_CYCLE: Final = "duty-cycle"
SCENARIOS: Final = (SINGLE_STREAM, OFFLINE, SERVER, DUTY_CYCLE)
RATED: Final = (SERVER, DUTY_CYCLE)
DEFAULT_P99_LIMIT_MS: Final = 1.0


class ScenarioConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to play. Raises UnknownNameError and UsageError for a name or a setting that does not exist."""

    name: str
    """One of `SCENARIOS`."""
    rate: float | None = None
    """server: queries a second to try, too; duty-cycle: calls a second, 1 for None."""
    p99_limit_ms: float | None = None
    """server: from the arrival of a query to its answer; None for `DEFAULT_P99_LIMIT_MS`."""

    def __post_init__(self) -> None:
        if self.name not in SCENARIOS:
            raise UnknownNameError("scenario", self.name, SCENARIOS)
        check_range("--rate", self.rate, above=0)
        check_range("--p99-limit", self.p99_limit_ms, above=0)
        if self.rate is not None and self.name not in RATED:
            raise UsageError(f"{self.name} has no --rate", hint=f"It is for {' and '.join(RATED)}.")
        if self.p99_limit_ms is not None and self.name != SERVER:
            raise UsageError(f"{self.name} has no --p99-limit", hint=f"It is for {SERVER}.")

    @property
    def limit_us(self) -> float | None:
        """Limit of the 99th percentile in microseconds; None where the scenario has none."""
        if self.name != SERVER:
            return None
        return 1e3 * (DEFAULT_P99_LIMIT_MS if self.p99_limit_ms is None else self.p99_limit_ms)

    @property
    def resolved_rate(self) -> float | None:
        """Calls a second, where the scenario has a rate."""
        return 1.0 if self.name == DUTY_CYCLE and self.rate is None else self.rate


class Trial(NamedTuple):
    """What was timed at one setting."""

    setting: float
    """The batch size, the queries a second, or the calls a second; 0 for calls without a pause."""
    samples: Sequence[int]
    """Nanoseconds of each call; in the server scenario from the arrival of the query on."""


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


SEED: Final = 0
BATCH_SIZES: Final = tuple(2**power for power in range(11))
BATCHES: Final = 5
"""Timed batches of each size, at the least."""
QUERIES: Final = (1_000, 20_000)
"""Least and most queries of a trial: the 99th percentile needs the one, a search the other."""
LEAST_CALLS: Final = 10
"""Of a duty cycle, however slow."""
TRIAL_SECONDS: Final = 0.25
SEARCH_STEPS: Final = 8
SEARCH_RANGE: Final = 100.0
"""The search starts at this part of what calls without a pause achieve: 8 steps then end within 2 %."""
SPIN_NS: Final = 1_000_000
"""How long before its time a sleep ends, at the least: what the kernel's timers are late by is spent in a loop."""

Ask = Callable[[Any], object]
Sleep = Callable[[float], None]


def offline(ask: Ask, images: Images, nanoseconds: int) -> list[Trial]:
    """Time batches of each size, made of `images`, [N, ...], over and over, for `nanoseconds` in all."""
    import numpy as np

    trials = []
    for size in BATCH_SIZES:
        batch = np.resize(images, (size, *images.shape[1:]))
        ask(batch)
        taken = timed_calls(ask, [batch], samples=BATCHES, nanoseconds=nanoseconds // len(BATCH_SIZES))
        trials.append(Trial(setting=size, samples=taken))
    return trials


def server(
    ask: Ask,
    single: Sequence[Images],
    typical: float,
    *,
    rate: float | None,
    limit_us: float,
    samples: int,
    nanoseconds: int,
    sleep: Sleep = time.sleep,
) -> list[Trial]:
    """Try the rate that was asked for, and then search the highest that holds the limit of the 99th percentile.

    `typical` is what a call takes without a pause, in nanoseconds; `samples` and `nanoseconds` are those of the trial
    at `rate`, at the least. The search halves the range on a logarithmic scale; all its trials are returned, in their
    order.
    """
    import numpy as np

    trials = []
    if rate is not None:
        queries = calls_for(rate, typical, samples, nanoseconds)
        trials.append(Trial(setting=rate, samples=answer_poisson(ask, single, rate, queries, SEED, sleep=sleep)))
    high = 1e9 / typical
    low = high / SEARCH_RANGE
    rate = low
    for step in range(SEARCH_STEPS + 1):
        queries = min(max(round(rate * TRIAL_SECONDS), QUERIES[0]), QUERIES[1])
        taken = answer_poisson(ask, single, rate, queries, SEED + step, sleep=sleep)
        trials.append(Trial(setting=rate, samples=taken))
        if np.percentile(taken, 99) <= 1e3 * limit_us:
            low = rate
        elif step == 0:
            break
        else:
            high = rate
        rate = (low * high) ** 0.5
    return trials


def calls_for(rate: float, typical: float, samples: int, nanoseconds: int) -> int:
    """Return how many calls at `rate` a second take `nanoseconds`, `samples` at the least.

    Calls that take `typical` nanoseconds each come no faster than one after the other, however high the rate.
    """
    return max(samples, round(min(rate / 1e9, 1 / typical) * nanoseconds))


def answer_poisson(
    ask: Ask, single: Sequence[Images], rate: float, queries: int, seed: int, *, sleep: Sleep = time.sleep
) -> array[int]:
    """Answer queries whose gaps are exponentially distributed, one after the other, and return how long each took.

    The time of a query runs from when it was due, so it contains the wait for the queries before it: a loop that
    started the clock later would leave out just the slow ones (coordinated omission).
    """
    import numpy as np

    gaps = np.random.default_rng(seed).exponential(1e9 / rate, size=queries)
    clock = time.perf_counter_ns
    offsets = np.cumsum(gaps).astype(np.int64).tolist()
    taken = array("q")
    start = clock()
    for offset, image in zip(offsets, itertools.cycle(single), strict=False):
        due = start + offset
        if (left := due - clock()) > 2 * SPIN_NS:
            sleep((left - SPIN_NS) / 1e9)
        while clock() < due:
            pass
        ask(image)
        taken.append(clock() - due)
    return taken


def duty_cycle(
    ask: Ask, single: Sequence[Images], typical: float, *, rate: float, nanoseconds: int, sleep: Sleep = time.sleep
) -> list[Trial]:
    """Time calls without a pause, `typical` nanoseconds each, and then calls between which the process sleeps."""
    without = timed_calls(ask, single, samples=QUERIES[0], nanoseconds=0)
    clock = time.perf_counter_ns
    start, taken = clock(), array("q")
    images = itertools.cycle(single)
    for call in range(1, calls_for(rate, typical, LEAST_CALLS, nanoseconds) + 1):
        # Sleep to the end: a loop before the call would wake the CPU up, which is what is to be measured.
        sleep(max(0.0, (start + call * 1e9 / rate - clock()) / 1e9))
        image = next(images)
        started = clock()
        ask(image)
        taken.append(clock() - started)
    return [Trial(setting=0.0, samples=without), Trial(setting=rate, samples=taken)]


def typical_call(samples: Sequence[int]) -> float:
    """Return what a call takes, in nanoseconds, from those that warmed up; the last half of them."""
    return statistics.median(samples[len(samples) // 2 :])
