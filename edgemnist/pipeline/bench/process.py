"""Starting the processes that measure, and making sense of how they end."""

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
from typing import Final, Generic, TypeVar

import msgspec

from edgemnist.errors import MeasurementError
from edgemnist.pipeline.bench.protocol import Failure, Outcome, ScenarioReport, WorkerReport, WorkerRequest
from edgemnist.pipeline.bench.quality import quieter, slowness_taints, taints

# What a signal that ended a process usually means here.
_SIGNALS = {
    "SIGILL": "This CPU lacks an instruction that the runtime uses: install a build of the runtime for this board.",
    "SIGKILL": "The system may have run out of memory: try a smaller --batch-size.",
}
# -P as well as the path: it must import the very same modules, and nothing that lies about in the directory.
_COMMAND: Final = [sys.executable, "-P", "-m", "edgemnist.pipeline.bench.worker"]

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
    subject: str,
    request: WorkerRequest,
    kind: type[ReportT],
    *,
    repeats: int = 0,
    quietest: float | None = None,
) -> Measured[ReportT]:
    """Measure in a fresh process, and again while something disturbs it, up to `repeats` times; the last one counts.

    `subject` is what errors call it, `kind` what the request is answered with, and `quietest` the shortest time that
    the fixed work has taken so far, in nanoseconds; the calm end of a report counts, too. Raises MeasurementError where
    the process could not measure, or died.
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
    if status >= 0:
        return MeasurementError(
            f"{subject} could not be measured: its process ended with status {status}", hint=last_words
        )
    name = signal.Signals(-status).name
    return MeasurementError(
        f"{subject} could not be measured: its process was killed by {name}", hint=_SIGNALS.get(name, last_words)
    )
