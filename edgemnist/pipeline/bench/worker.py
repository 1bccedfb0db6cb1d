"""One model, open in a process of its own: `python -m edgemnist.pipeline.bench.worker`.

It reads JSON lines from stdin, first an `Open` and then an `Ask` for each block of calls, and answers each with a line
on stdout; in between it sleeps. What is imported here counts in the cold start, so it is little; NumPy and the runtime
come after the process has been pinned, because they start as many threads as they see CPUs.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from edgemnist.board.machine import peak_rss, pin, waited_ns
from edgemnist.errors import EdgemnistError, MeasurementError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import RUNTIMES

if TYPE_CHECKING:
    from edgemnist.model.runtimes.interface import Classifier


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """The model to open."""

    runtime: str
    path: str
    """Of the model file."""
    spec: InputSpec | None = None
    """What the model reads; None if only its file says so."""
    numbers: bool | None = None
    """Whether it answers with numbers; None if only its file says so."""
    most: int | None = None
    """Inputs that the model gets at once, as `try_file` says; None for as many as usual."""
    threads: int
    cpus: list[int]
    """What to pin to while it is opened."""
    images: str
    """Path of an .npy file, [N, ...], N at least 1."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """What it took to open it. Times are in nanoseconds."""

    answered_at: int
    """`time.perf_counter_ns()` when the first answer was there; that clock is the same in all processes."""
    load: int
    """From the path to a classifier, in a process that has loaded the same before: imports are no part of it."""
    first_call: int
    peak_rss: int | None
    """Bytes, after single inputs; None where the system does not tell."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A block of calls to time."""

    cpus: list[int]
    """What to pin to."""
    batch_size: int = 1
    nanoseconds: int
    calls: int
    """Timed calls and their total, at the least."""


class Timed(msgspec.Struct, frozen=True, kw_only=True, tag="timed"):
    """A block of calls. Times are in nanoseconds."""

    typical: float
    """The median call, or where other processes had the CPU during most calls, the mean without that time."""
    fixed: float
    """The median of the fixed work right before, see `time_fixed_work`."""
    waited: float
    """Share of the time that other processes had the CPU."""
    samples: list[int]
    """`KEPT` of the calls at most, evenly spread."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why the process cannot measure, in words for the user."""

    message: str
    hint: str


Answer: TypeAlias = Opened | Timed | Failure

KEPT: Final = 2_000
WARMUP_CALLS: Final = 3
WARMUP_NANOSECONDS: Final = 100_000_000
"""Calls before the first block, at the least: enough for a clock that was asleep to wake up."""
REFILL: Final = 4
"""A block begins with this part of its time untimed: other processes have taken the model's place in the caches."""


class Worker:
    """A classifier that has warmed up. Raises what the runtime raises where it cannot be opened."""

    def __init__(self, request: Open) -> None:
        pin(request.cpus)
        import numpy as np

        self._images = np.load(request.images)
        runtime = RUNTIMES[request.runtime].load()

        def load(path: Path) -> Classifier:
            classifier: Classifier = runtime.load(
                path, threads=request.threads, spec=request.spec, numbers=request.numbers
            )
            if request.most is not None:
                classifier.most = min(classifier.most, request.most)
            return classifier

        classifier = load(Path(request.path))
        self.most = classifier.most
        # The way for one input that asks nothing else.
        self._call = classifier.answer if classifier.answers_numbers else classifier.predict_proba
        first = timed_calls(self._call, self._inputs(1), calls=1)
        answered_at = time.perf_counter_ns()
        timed_calls(self._call, self._inputs(1), calls=WARMUP_CALLS, nanoseconds=WARMUP_NANOSECONDS)
        peak = peak_rss()
        # The first loading also imported the runtime, which no second model would have to wait for.
        loads = timed_calls(load, [Path(request.path)], calls=1)
        self.opened = Opened(answered_at=answered_at, load=loads[0], first_call=first[0], peak_rss=peak)
        # A collection in the midst of a call would be timed as part of it.
        gc.collect()
        gc.disable()

    def _inputs(self, batch_size: int) -> list[Any]:
        import numpy as np

        if batch_size == 1:
            return [self._images[index : index + 1] for index in range(len(self._images))]
        return [np.resize(self._images, (batch_size, *self._images.shape[1:]))]

    def time(self, ask: Ask) -> Timed:
        """Time a block of calls. Raises MeasurementError if there is not enough memory for a batch."""
        try:
            pin(ask.cpus)
            inputs, fixed = self._inputs(ask.batch_size), time_fixed_work()
            timed_calls(self._call, inputs, calls=1, nanoseconds=ask.nanoseconds // REFILL)
            waited, ran, started = waited_ns(), time.process_time_ns(), time.perf_counter_ns()
            alone = time.thread_time_ns()
            taken = timed_calls(self._call, inputs, calls=ask.calls, nanoseconds=ask.nanoseconds)
            alone = time.thread_time_ns() - alone
            elapsed = max(1, time.perf_counter_ns() - started)
        except MemoryError:
            raise MeasurementError(
                f"there is not enough memory for a batch of {ask.batch_size:,}", hint="Choose a smaller --batch-size."
            ) from None
        now = waited_ns()
        # Where nobody counts, time in which the process did not run is taken to be that of others.
        lost = now - waited if now is not None and waited is not None else elapsed - time.process_time_ns() + ran
        lost = min(elapsed, max(0, lost))
        return Timed(
            typical=typical_call(taken, elapsed=elapsed, lost=lost, alone=alone),
            fixed=fixed,
            waited=lost / elapsed,
            samples=list(taken[:: -(-len(taken) // KEPT)]),
        )


def typical_call(taken: Sequence[int], *, elapsed: int, lost: int, alone: int) -> float:
    """Return what a call typically takes, in nanoseconds, however many others want the CPU.

    It is the median call, or if other processes interrupt most calls, the mean without the `lost` time of the
    `elapsed`, which is at least the time `alone` that the calling thread ran.
    """
    import numpy as np

    return max(1.0, min(float(np.median(taken)), max(elapsed - lost, alone) / len(taken)))


def timed_calls(
    call: Callable[[Any], object], arguments: Iterable[Any], *, calls: int, nanoseconds: int = 0
) -> array[int]:
    """Return how long each call took, in nanoseconds, for at least `calls` and `nanoseconds` altogether.

    `arguments` are taken in turn, over and over. A sample contains one reading of the clock and the call itself: about
    0.1 µs.
    """
    clock = time.perf_counter_ns
    # Machine integers: a list would hold an object for each of a million samples, and they would show in the memory.
    taken = array("q")
    keep = taken.append
    end = clock() + nanoseconds
    for argument in itertools.cycle(arguments):
        started = clock()
        call(argument)
        stopped = clock()
        keep(stopped - started)
        calls -= 1
        if calls <= 0 and stopped >= end:
            break
    return taken


VALUES: Final = 16_384
"""float32 values in each of three arrays: with 192 KB they live where the weights of a model do, in the L2 cache."""
FIXED_CALLS: Final = 100
"""Timed calls of the fixed work: about a millisecond."""


def time_fixed_work() -> float:
    """Return the median time of adding two arrays, in nanoseconds.

    NumPy adds with vector instructions on one thread, however many CPUs there are, and needs no BLAS for it.
    """
    import numpy as np

    one, other, total = (np.ones(VALUES, np.float32) for _ in range(3))

    def add(_: object) -> None:
        np.add(one, other, out=total)

    timed_calls(add, [None], calls=FIXED_CALLS // 5)
    return float(np.median(timed_calls(add, [None], calls=FIXED_CALLS)))


def main() -> None:
    """Answer each line of stdin with one on stdout, until there are no more."""
    # Libraries write to the standard output as they like.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    worker: Worker | None = None
    for line in sys.stdin.buffer:
        answer: Answer
        try:
            if worker is None:
                worker = Worker(msgspec.json.decode(line, type=Open))
                answer = worker.opened
            else:
                answer = worker.time(msgspec.json.decode(line, type=Ask))
        except EdgemnistError as error:
            answer = Failure(message=error.message, hint=error.hint)
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
