"""What a benchmark run and the processes that measure for it say to each other."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from edgemnist.machine import Watch


class Offline(msgspec.Struct, frozen=True, kw_only=True, tag="offline"):
    """Batches of every size, one after the other."""

    batch_sizes: list[int]
    nanoseconds: int
    """Timed nanoseconds of each size, at the least."""


class Server(msgspec.Struct, frozen=True, kw_only=True, tag="server"):
    """Single images that arrive at random, and wait for their turn."""

    rate: float | None
    """Queries a second to try; None for the search alone."""
    limit: int
    """Nanoseconds that the 99th percentile may be, from arrival to answer."""
    samples: int
    nanoseconds: int
    """Queries of the trial at `rate` and their total, at the least, as far as they can be answered at that rate."""
    seed: int


class DutyCycle(msgspec.Struct, frozen=True, kw_only=True, tag="duty-cycle"):
    """Single images at fixed times, with sleep in between."""

    rate: float
    """Calls a second."""
    samples: int
    nanoseconds: int
    """Calls and their total with the sleep, at the least, as far as they can be made at that rate."""


Scenario: TypeAlias = Offline | Server | DutyCycle


class WorkerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to measure; it is sent on the standard input."""

    runtime: str
    path: str
    """Of the model file."""
    input_range: str | None = None
    """As in the record of the model."""
    threads: int
    cpus: list[int]
    """What to pin to."""
    images: str
    """Path of an .npy file, uint8 [N, 28, 28], N at least 1."""
    samples: int
    nanoseconds: int
    """Timed calls and their total, at the least."""
    batch_size: int
    batch_nanoseconds: int = 150_000_000
    """Total of the timed batches, at the least."""
    slowdown: float = 1.0
    """Every call takes at least this many times the usual: to see that a slowdown is noticed."""
    most: int | None = None
    """Images that the model gets at once, as `try_file` says; None for as many as usual."""
    scenario: Scenario | None = None
    """None for the timing of single images and batches."""
    report: str
    """Path of the file to write the answer to: libraries write to the standard output as they like."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
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
    reference: list[float]
    """Medians of the fixed work, right before and right after the timed calls, see `edgemnist.bench.timing`."""
    batches: list[int]
    """Timed calls of a whole batch."""
    steps: dict[str, list[int]]
    """Timed calls of `prepare`, `invoke` and `finish` alone, and of `nothing`; empty where a call has no such steps."""
    peak_rss: int | None
    """Bytes, after the last single image; None where the system does not tell."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario measured at one setting."""

    setting: float
    """The batch size, the queries a second, or the calls a second; 0 for calls without a pause."""
    samples: list[int]
    """Nanoseconds of each call; in the server scenario from the arrival of the query on."""


class ScenarioReport(msgspec.Struct, frozen=True, kw_only=True, tag="scenario"):
    """What one process measured in a scenario. Times are in nanoseconds."""

    answered_at: int
    """As in `WorkerReport`."""
    trials: list[Trial]
    typical: float
    """What a call takes without a pause."""
    watch: Watch
    reference: list[float]
    """Medians of the fixed work, right before and right after the trials."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why one process could not measure, in words for the user."""

    message: str
    hint: str


Outcome: TypeAlias = WorkerReport | ScenarioReport | Failure
