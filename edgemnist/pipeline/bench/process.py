"""The process of one model, seen from the one that measures."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from edgemnist.errors import MeasurementError
from edgemnist.pipeline.bench.worker import Answer, Ask, Failure, Open, Opened, Timed

T = TypeVar("T", Opened, Timed)

# What a signal that ended a process usually means here.
_SIGNALS: Final = {
    "SIGILL": "This CPU lacks an instruction that the runtime uses: install a build of the runtime for this board.",
    "SIGKILL": "The system may have run out of memory: try a smaller --batch-size.",
}
# -P as well as the path: it must import the very same modules, and nothing that lies about in the directory.
_COMMAND: Final = (sys.executable, "-P", "-m", "edgemnist.pipeline.bench.worker")


class Process:
    """A fresh process that opens a model; its block ends it.

    `subject` is what errors call the model. All methods raise MeasurementError where it cannot measure, or has died.
    """

    def __init__(self, subject: str, request: Open) -> None:
        self._subject = subject
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._started = time.perf_counter_ns()
        self._running = subprocess.Popen(  # noqa: S603 - our own code
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        )
        self._lines: list[bytes] = []
        self._send(request)
        # A thread waits for the first answer: of several that start at once, none need be waited for.
        self._opening = threading.Thread(target=self._receive, daemon=True)
        self._opening.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._running.kill()
        self._running.wait()
        self._opening.join()
        for stream in (self._running.stdin, self._running.stdout, self._log):
            if stream is not None:
                stream.close()

    def is_open(self, timeout: float | None = None) -> bool:
        """Return whether the model is open, or has failed to open, after `timeout` seconds at most."""
        self._opening.join(timeout)
        return not self._opening.is_alive()

    def opened(self) -> tuple[Opened, int]:
        """Wait until the model is open, and return what that took, and the cold start in nanoseconds."""
        self._opening.join()
        answer = self._decoded(Opened)
        return answer, answer.answered_at - self._started

    def time(self, ask: Ask) -> Timed:
        """Have a block of calls timed, and return it."""
        self._send(ask)
        self._receive()
        return self._decoded(Timed)

    def _send(self, message: msgspec.Struct) -> None:
        # Where it has died, the missing answer says how.
        with contextlib.suppress(OSError):
            if self._running.stdin is not None:
                self._running.stdin.write(msgspec.json.encode(message) + b"\n")
                self._running.stdin.flush()

    def _receive(self) -> None:
        self._lines = [] if self._running.stdout is None else [self._running.stdout.readline()]

    def _decoded(self, kind: type[T]) -> T:
        line = self._lines.pop()
        if not line:
            raise self._death()
        answer = msgspec.json.decode(line, type=Answer)
        if isinstance(answer, Failure):
            raise MeasurementError(f"{self._subject} cannot be measured: {answer.message}", hint=answer.hint)
        if not isinstance(answer, kind):
            raise TypeError(f"{self._subject} answered something else")
        return answer

    def _death(self) -> MeasurementError:
        status = self._running.wait()
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip().splitlines()
        last = words[-1] if words else ""
        if status >= 0:
            return MeasurementError(
                f"{self._subject} could not be measured: its process ended with status {status}", hint=last
            )
        name = signal.Signals(-status).name
        return MeasurementError(
            f"{self._subject} could not be measured: its process was killed by {name}", hint=_SIGNALS.get(name, last)
        )
