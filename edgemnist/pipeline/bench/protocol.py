"""What a benchmark run and the processes that measure for it say to each other."""

from typing import TypeAlias

import msgspec

from edgemnist.board.machine import Watch
from edgemnist.ground.inputs import InputSpec


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
    """What went on during the timed calls of a single image."""
    reference: list[float]
    """Medians of the fixed work, right before and right after them, see `bench.timing`."""
    load: int
    """From the path to a classifier, in a process that has loaded the same before: imports are no part of it."""
    warmup: list[int]
    """Calls before the timed ones; the first of them is the very first call."""
    samples: list[int]
    """Timed calls of a single image."""
    batches: list[int]
    """Timed calls of a whole batch."""
    steps: dict[str, list[int]]
    """Timed calls of `prepare`, `invoke` and `finish` alone, and of `nothing`; empty where a call has no such steps."""
    peak_rss: int | None
    """Bytes, after the last single image; None where the system does not tell."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why one process could not measure, in words for the user."""

    message: str
    hint: str


Outcome: TypeAlias = WorkerReport | Failure
