"""One measurement, in a process of its own: `python -m edgemnist.bench.worker`, the request on the standard input.

What is imported here counts in the cold start, so it is little; NumPy and the runtime come after the process has been
pinned, because they start as many threads as they see CPUs.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from pathlib import Path

import msgspec

from edgemnist.bench.conditions import watched
from edgemnist.bench.cpus import pin
from edgemnist.bench.memory import peak_rss
from edgemnist.bench.protocol import Failure, Outcome, Report, Request
from edgemnist.bench.timing import slowed, timed_calls
from edgemnist.errors import EdgemnistError
from edgemnist.runtimes import RUNTIMES

WARMUP_CALLS = 20
WARMUP_NANOSECONDS = 100_000_000
"""Calls before the timed ones, at the least: enough for a clock that was asleep to wake up."""
BATCHES = 5
BATCH_NANOSECONDS = 150_000_000
"""Timed batches, at the least."""


def main() -> None:
    """Measure what the standard input asks for, and write the outcome to the file that it names."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    outcome: Outcome
    try:
        outcome = measure(request)
    except EdgemnistError as error:
        outcome = Failure(message=error.message, hint=error.hint)
    Path(request.report).write_bytes(msgspec.json.encode(outcome))


def measure(request: Request) -> Report:
    """Load the classifier, answer once, warm up, time single images, then batches, and last of all another loading."""
    pin(request.cpus)
    import numpy as np

    images = np.load(request.images)
    single = [images[index : index + 1] for index in range(len(images))]
    path = Path(request.path)
    runtime = RUNTIMES[request.runtime].load()
    ask = runtime.load(path, threads=request.threads).predict_proba
    first = timed_calls(ask, single, samples=1, nanoseconds=0)
    answered_at = time.perf_counter_ns()
    warmup = timed_calls(ask, single, samples=WARMUP_CALLS, nanoseconds=WARMUP_NANOSECONDS)
    if request.slowdown > 1:
        ask = slowed(ask, round(statistics.median(warmup) * request.slowdown))
    # A collection in the midst of a call would be timed as part of it.
    gc.collect()
    gc.disable()
    samples, watch = watched(
        request.cpus,
        lambda: timed_calls(ask, single, samples=request.samples, nanoseconds=request.nanoseconds),
    )
    # Before the batches, whose memory is no part of what a board needs for one image.
    peak = peak_rss()
    batch = np.resize(images, (request.batch_size, *images.shape[1:]))
    ask(batch)
    batches = timed_calls(ask, [batch], samples=BATCHES, nanoseconds=BATCH_NANOSECONDS)
    # The first loading also imported the runtime, which no second model would have to wait for.
    loads = timed_calls(lambda path: runtime.load(path, threads=request.threads), [path], samples=1, nanoseconds=0)
    return Report(
        answered_at=answered_at,
        load=loads[0],
        warmup=[*first, *warmup],
        samples=list(samples),
        watch=watch,
        batches=list(batches),
        peak_rss=peak,
    )


if __name__ == "__main__":
    main()
