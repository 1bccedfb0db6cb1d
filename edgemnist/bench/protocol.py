"""What a benchmark run and the processes that measure for it say to each other."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from edgemnist.bench.conditions import Watch


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to measure; it is sent on the standard input."""

    runtime: str
    path: str
    """Of the model file."""
    threads: int
    cpus: list[int]
    """What to pin to."""
    images: str
    """Path of an .npy file, uint8 [N, 28, 28], N at least 1."""
    samples: int
    nanoseconds: int
    """Timed calls and their total, at the least."""
    batch_size: int
    slowdown: float = 1.0
    """Every call takes at least this many times the usual: to see that a slowdown is noticed."""
    report: str
    """Path of the file to write the answer to: libraries write to the standard output as they like."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """What one process measured. Times are in nanoseconds."""

    answered_at: int
    """`time.perf_counter_ns()` when the first answer was there; that clock is the same in all processes."""
    load: int
    """From the path to a classifier, in a process that has loaded the same before: imports are no part of it."""
    warmup: list[int]
    """Calls before the timed ones; the first of them is the very first call."""
    samples: list[int]
    """Timed calls of a single image."""
    watch: Watch
    """What went on during the timed calls of a single image."""
    batches: list[int]
    """Timed calls of a whole batch."""
    peak_rss: int | None
    """Bytes, after the last single image; None where the system does not tell."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why one process could not measure, in words for the user."""

    message: str
    hint: str


Outcome: TypeAlias = Report | Failure
