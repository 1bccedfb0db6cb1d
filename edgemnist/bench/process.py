"""The processes that measure: what they are told, what they answer, how they are started, and what their ends mean."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from edgemnist.bench.quality import quieter, slowness_taints, taints
from edgemnist.errors import MeasurementError
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


# What a signal that ended a process usually means here.
_SIGNALS = {
    "SIGILL": "This CPU lacks an instruction that the runtime uses: install a build of the runtime for this board.",
    "SIGKILL": "The system may have run out of memory: try a smaller --batch-size.",
}
# -P as well as the path: it must import the very same modules, and nothing that lies about in the directory.
_COMMAND: Final = [sys.executable, "-P", "-m", "edgemnist.bench.worker"]

ReportT = TypeVar("ReportT", bound=WorkerReport | ScenarioReport)


@dataclass(frozen=True, kw_only=True)
class Measured(Generic[ReportT]):
    """What a process reported, and what was seen from outside."""

    report: ReportT
    cold_start: int
    """Nanoseconds from before the process was started to its first answer."""
    attempts: int
    """How often it was measured until nothing disturbed it, or the limit was reached."""
    taints: tuple[str, ...]
    """What disturbed the last attempt, in words."""


def measure(
    subject: str, request: WorkerRequest, kind: type[ReportT], *, repeats: int = 0, quietest: float | None = None
) -> Measured[ReportT]:
    """Measure in a fresh process, and again while something disturbs it, up to `repeats` times.

    The last attempt counts. `subject` is what errors call it, `kind` what the request is answered with, and `quietest`
    the shortest time that the fixed work has taken so far, in nanoseconds; the calm end of a report counts, too.

    The process is killed where this one is interrupted. Raises MeasurementError where it could not measure, or died.
    """
    for attempt in itertools.count(1):
        report, started = _run_worker(subject, request, kind)
        calmest = quieter(report.reference, quietest)
        found = (*taints(report.watch), *slowness_taints(report.reference, calmest))
        if not found or attempt > repeats:
            break
    return Measured(report=report, cold_start=report.answered_at - started, attempts=attempt, taints=found)


def _run_worker(subject: str, request: WorkerRequest, kind: type[ReportT]) -> tuple[ReportT, int]:
    """Return what a fresh process reports, and when it was started."""
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter_ns()
        ended = subprocess.run(  # noqa: S603 - our own code
            _COMMAND,
            input=msgspec.json.encode(request),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            check=False,
        )
        log.seek(0)
        words = log.read().decode(errors="replace").strip().splitlines()
    report = Path(request.report)
    if ended.returncode != 0 or not report.exists():
        raise _death(subject, ended.returncode, words[-1] if words else "")
    outcome: Outcome = msgspec.json.decode(report.read_bytes(), type=Outcome)
    report.unlink()
    if isinstance(outcome, Failure):
        raise MeasurementError(f"{subject} cannot be measured: {outcome.message}", hint=outcome.hint)
    if not isinstance(outcome, kind):
        raise TypeError(f"the process for {subject} answered with a {type(outcome).__name__}")
    return outcome, started


def _death(subject: str, status: int, last_words: str) -> MeasurementError:
    if status < 0:
        name = signal.Signals(-status).name
        return MeasurementError(
            f"{subject} could not be measured: its process was killed by {name}", hint=_SIGNALS.get(name, last_words)
        )
    # Windows gives the reason of a crash as a number such as 0xC000001D.
    shown = f"{status:#x}" if status > 255 else str(status)  # noqa: PLR2004 - larger than any status that a program gives
    return MeasurementError(f"{subject} could not be measured: its process ended with status {shown}", hint=last_words)
