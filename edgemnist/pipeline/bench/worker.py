"""One measurement, in a process of its own: `python -m edgemnist.pipeline.bench.worker` reads the request from stdin.

What is imported here counts in the cold start, so it is little; NumPy and the runtime come after the process has been
pinned, because they start as many threads as they see CPUs.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from edgemnist.board.machine import Watch, peak_rss, pin, watched
from edgemnist.errors import EdgemnistError, MeasurementError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.pipeline.bench.timing import (
    BATCHES,
    time_fixed_work,
    timed_calls,
)

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images
    from edgemnist.model.runtimes.interface import Classifier


class WorkerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to measure; it is sent on the standard input."""

    runtime: str
    path: str
    """Of the model file."""
    spec: InputSpec | None = None
    """What the model reads; None if only its file says so."""
    numbers: bool | None = None
    """Whether it answers with numbers; None if only its file says so."""
    threads: int
    cpus: list[int]
    """What to pin to."""
    images: str
    """Path of an .npy file, [N, ...], N at least 1."""
    samples: int
    nanoseconds: int
    """Timed calls and their total, at the least, of a round."""
    batch_size: int
    batch_nanoseconds: int = 150_000_000
    """Total of the timed batches, at the least."""
    most: int | None = None
    """Images that the model gets at once, as `try_file` says; None for as many as usual."""
    report: str
    """Path of the file to write the answer to: libraries write to the standard output as they like."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """What one process measured. Times are in nanoseconds."""

    answered_at: int
    """`time.perf_counter_ns()` when the first answer was there; that clock is the same in all processes."""
    watch: Watch
    """What went on during the timed calls."""
    reference: list[float]
    """Medians of the fixed work, right before and right after them, see `time_fixed_work`."""
    load: int
    """From the path to a classifier, in a process that has loaded the same before: imports are no part of it."""
    warmup: list[int]
    """Calls before the timed ones; the first of them is the very first call."""
    samples: Sequence[int]
    """Timed calls of a single image."""
    batches: list[int]
    """Timed calls of a whole batch."""
    peak_rss: int | None
    """Bytes, after the last single image; None where the system does not tell."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why one process could not measure, in words for the user."""

    message: str
    hint: str


Outcome: TypeAlias = WorkerReport | Failure


WARMUP_CALLS = 20
WARMUP_NANOSECONDS = 100_000_000
"""Calls before the timed ones, at the least: enough for a clock that was asleep to wake up."""


def main() -> None:
    """Measure what the standard input asks for, and write the outcome to the file that it names."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerRequest)
    outcome: Outcome
    try:
        outcome = measure(request, get_ready(request))
    except EdgemnistError as error:
        outcome = Failure(message=error.message, hint=error.hint)
    # Samples are arrays of machine integers.
    Path(request.report).write_bytes(msgspec.json.encode(outcome, enc_hook=list))


class Ready(NamedTuple):
    """A classifier that has warmed up."""

    load: Callable[[Path], Classifier]
    classifier: Classifier
    ask: Callable[[Any], object]
    images: Images
    single: Sequence[Images]
    answered_at: int
    warmup: list[int]


def get_ready(request: WorkerRequest) -> Ready:
    """Load the classifier, answer once, and warm up."""
    pin(request.cpus)
    import numpy as np

    images = np.load(request.images)
    single = [images[index : index + 1] for index in range(len(images))]
    runtime = RUNTIMES[request.runtime].load()

    def load(path: Path) -> Classifier:
        classifier: Classifier = runtime.load(path, threads=request.threads, spec=request.spec, numbers=request.numbers)
        if request.most is not None:
            classifier.most = min(classifier.most, request.most)
        return classifier

    classifier = load(Path(request.path))
    # The way for one image that asks nothing else.
    ask = classifier.answer if classifier.answers_numbers else classifier.predict_proba
    first = timed_calls(ask, single, samples=1, nanoseconds=0)
    answered_at = time.perf_counter_ns()
    warmup = timed_calls(ask, single, samples=WARMUP_CALLS, nanoseconds=WARMUP_NANOSECONDS)
    # A collection in the midst of a call would be timed as part of it.
    gc.collect()
    gc.disable()
    return Ready(
        load=load,
        classifier=classifier,
        ask=ask,
        images=images,
        single=single,
        answered_at=answered_at,
        warmup=[*first, *warmup],
    )


def measure(request: WorkerRequest, ready: Ready) -> WorkerReport:
    """Time single images, then batches; last of all comes another loading."""
    before = time_fixed_work()
    # The fixed work has taken the model's place in the caches.
    timed_calls(ready.ask, ready.single, samples=WARMUP_CALLS, nanoseconds=0)
    samples, watch = watched(
        request.cpus,
        lambda: timed_calls(ready.ask, ready.single, samples=request.samples, nanoseconds=request.nanoseconds),
    )
    reference = [before, time_fixed_work()]
    # Before the batches, whose memory is no part of what a board needs for one image.
    peak = peak_rss()
    batches = time_batches(request, ready)
    # The first loading also imported the runtime, which no second model would have to wait for.
    loads = timed_calls(ready.load, [Path(request.path)], samples=1, nanoseconds=0)
    return WorkerReport(
        answered_at=ready.answered_at,
        watch=watch,
        reference=reference,
        load=loads[0],
        warmup=ready.warmup,
        samples=samples,
        batches=batches,
        peak_rss=peak,
    )


def time_batches(request: WorkerRequest, ready: Ready) -> list[int]:
    """Time whole batches. Raises MeasurementError if there is not enough memory for one."""
    import numpy as np

    try:
        batch = np.resize(ready.images, (request.batch_size, *ready.images.shape[1:]))
        ready.ask(batch)
        return list(timed_calls(ready.ask, [batch], samples=BATCHES, nanoseconds=request.batch_nanoseconds))
    except MemoryError:
        raise MeasurementError(
            f"there is not enough memory for a batch of {request.batch_size:,}", hint="Choose a smaller --batch-size."
        ) from None


if __name__ == "__main__":
    main()
