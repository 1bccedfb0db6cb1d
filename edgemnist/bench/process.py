"""Starting the processes that measure, and making sense of how they end."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from edgemnist.bench.protocol import Failure, Outcome, ScenarioReport, WorkerReport, WorkerRequest
from edgemnist.bench.quality import quieter, slowness_taints, taints
from edgemnist.errors import MeasurementError

# What a signal that ended a process usually means here.
_SIGNALS = {
    "SIGILL": "This CPU lacks an instruction that the runtime uses: install a build of the runtime for this board.",
    "SIGKILL": "The system may have run out of memory: try a smaller --batch-size.",
}


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a process reported, and what was seen from outside."""

    report: WorkerReport
    cold_start: int
    """Nanoseconds from before the process was started to its first answer."""
    attempts: int = 1
    """How often it was measured until nothing disturbed it, or the limit was reached."""
    taints: tuple[str, ...] = ()
    """What disturbed the last attempt, in words."""


@dataclass(frozen=True, kw_only=True)
class Performance:
    """What a process reported of a scenario, and how that came about."""

    report: ScenarioReport
    attempts: int
    taints: tuple[str, ...]
    """Of the last attempt, as those of `Measured`."""


def measure(subject: str, request: WorkerRequest) -> Measured:
    """Measure in a fresh process; `subject` is what errors call it.

    The process is killed where this one is interrupted. Raises MeasurementError where it could not measure, or died.
    """
    outcome, started = _run_worker(subject, request)
    if not isinstance(outcome, WorkerReport):
        raise TypeError(f"the process for {subject} played a scenario")
    return Measured(report=outcome, cold_start=outcome.answered_at - started)


def measure_undisturbed(subject: str, request: WorkerRequest, repeats: int, quietest: float | None = None) -> Measured:
    """Measure, and again as long as something disturbs it, up to `repeats` times more; the last attempt counts.

    `quietest` is the shortest time that the fixed work has taken so far, in nanoseconds.

    Raises MeasurementError where a process could not measure, or died.
    """

    def disturbances(measured: Measured) -> tuple[str, ...]:
        report = measured.report
        return (*taints(report.watch), *slowness_taints(report.reference, quietest))

    measured, attempts, found = _until_undisturbed(lambda: measure(subject, request), disturbances, repeats)
    return replace(measured, attempts=attempts, taints=found)


def play_undisturbed(subject: str, request: WorkerRequest, repeats: int, quietest: float | None = None) -> Performance:
    """Run the scenario of a request in a fresh process, and again as `measure_undisturbed` does.

    There may be no other round to hold this one against, so it is held against its own quieter end, too.
    """

    def play() -> ScenarioReport:
        outcome, _ = _run_worker(subject, request)
        if not isinstance(outcome, ScenarioReport):
            raise TypeError(f"the process for {subject} played no scenario")
        return outcome

    def disturbances(report: ScenarioReport) -> tuple[str, ...]:
        return (*taints(report.watch), *slowness_taints(report.reference, quieter(report.reference, quietest)))

    report, attempts, found = _until_undisturbed(play, disturbances, repeats)
    return Performance(report=report, attempts=attempts, taints=found)


def _until_undisturbed(
    once: Callable[[], T], disturbances: Callable[[T], tuple[str, ...]], repeats: int
) -> tuple[T, int, tuple[str, ...]]:
    """Return the last attempt, how many there were, and what disturbed the last one."""
    for attempt in itertools.count(1):
        outcome = once()
        found = disturbances(outcome)
        if not found or attempt > repeats:
            break
    return outcome, attempt, found


def _run_worker(subject: str, request: WorkerRequest) -> tuple[WorkerReport | ScenarioReport, int]:
    """Return what a fresh process reports, and when it was started."""
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter_ns()
        # -P as well as the path: it must import the very same modules, and nothing that lies about in the directory.
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "edgemnist.bench.worker"],
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
    return outcome, started


def _death(subject: str, status: int, last_words: str) -> MeasurementError:
    if status < 0:
        name = signal.Signals(-status).name
        return MeasurementError(
            f"{subject} could not be measured: its process was ended by {name}", hint=_SIGNALS.get(name, last_words)
        )
    # Windows gives the reason of a crash as a number such as 0xC000001D.
    shown = f"{status:#x}" if status > 255 else str(status)  # noqa: PLR2004 - larger than any status that a program gives
    return MeasurementError(f"{subject} could not be measured: its process ended with status {shown}", hint=last_words)
