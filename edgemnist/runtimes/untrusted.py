"""Model files of unknown origin: a child process with limits of time and memory tries each before we open it.

A damaged HDF5 file can send its library into an endless loop, a small archive can unpack to gigabytes, and a layer can
make terabytes of an image, in Keras, ONNX Runtime and LiteRT alike.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgemnist.errors import ArtifactError, StorageError
from edgemnist.runtimes import read_file
from edgemnist.runtimes.untrusted_child import AT_ONCE, FAILED, LACKS_MEMORY, NEVER_ENDS, READ, SLOW
from edgemnist.storage import cache_directory, sha256, write_file

TIMEOUT_S: Final = 300.0
"""By the clock: a machine with other work may take a minute to start a process, and that is not the file's fault. What
never ends is ended by the limits of the processor's time."""
ENVIRONMENT: Final = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "OPENBLAS_NUM_THREADS": "1"} | {
    # The allocator of oneDNN waits ten seconds for memory that never comes.
    "TF_ENABLE_ONEDNN_OPTS": "0"
}
_CODE: Final = """
import json, sys
# What its parent can import it has to find as well.
sys.path[:] = json.loads(sys.argv[1])
from edgemnist.runtimes import untrusted_child
untrusted_child.main()
"""
_COMMAND: Final = [sys.executable, "-P", "-c", _CODE]
PASSED_FILE: Final = "models-that-passed.txt"
"""In the user's cache: a line for each file and runtime, with the number of images at once."""
MOST_BYTES: Final = 1 << 20
"""Of that file: a line has about 80."""
MOST_PASSED: Final = 1000
"""Lines; at twice as many the older half is dropped."""
HINT: Final = "A classifier of digits takes megabytes and milliseconds: leave out the layer that takes more."


class Trial(NamedTuple):
    """What became of a file."""

    wrong: str = ""
    """What is wrong with it, empty if nothing is."""
    unbounded: bool = False
    """Whether what is wrong is that it takes more time or memory than any classifier of digits."""
    at_once: int = AT_ONCE[-1]
    """How many images at once are answered within the limit of memory."""
    refused: tuple[str, str] | None = None
    """What the runtime says against it, and what to do, where it is no classifier."""

    def named(self, old: Path, new: Path) -> Trial:
        """Return it with words that name another copy of the file."""
        told = self.refused and (self.refused[0].replace(str(old), str(new)), self.refused[1])
        return self._replace(wrong=self.wrong.replace(str(old), str(new)), refused=told)


_FAILED: Final[dict[tuple[str, str], tuple[Trial, Path]]] = {}
"""Files that this process has had tried in vain, by runtime and SHA-256, with the path that the words name."""


class _Child:
    """The process that tries files, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [*_COMMAND, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, **request: str) -> None:
        """Ask for something. That it has ended is noticed by whoever reads the reports."""
        if self._process.stdin is None:
            raise ValueError("a child has pipes")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def reports(self) -> dict[str, Any]:
        """Return what it reports of a file; without `ended` if it ended itself before that."""
        reports: dict[str, Any] = {}
        for line in self._process.stdout or ():
            reports |= json.loads(line)
            if "ended" in reports:
                break
        return reports

    def end(self) -> None:
        """End it and whatever it has forked."""
        with contextlib.suppress(OSError), self._process:
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)


_TURN: Final = threading.Lock()
_children: list[_Child] = []
if hasattr(os, "register_at_fork"):
    # It is its parent's child, and would end with any of its siblings.
    os.register_at_fork(after_in_child=_children.clear)


def start_child(runtime: str) -> None:
    """Start the child, if there is none, and have it import a runtime, which its parent may import meanwhile."""
    with _TURN:
        _child().send(runtime=runtime)


def try_file(path: Path, runtime: str) -> int:
    """Return how many images at once a runtime answers with a model file within the limits; see `try_model`.

    Raises ArtifactError for a file that goes beyond them, and for one that the runtime refuses or dies of.
    """
    trial = try_model(path, runtime, sha256(read_file(path)))
    if trial.refused:
        raise ArtifactError(trial.refused[0], hint=trial.refused[1])
    if trial.wrong:
        raise ArtifactError(
            f"{path} is not opened: {trial.wrong}",
            hint=HINT if trial.unbounded else "It may be damaged: convert or download it again.",
        )
    return trial.at_once


def try_model(path: Path, runtime: str, digest: str, *, timeout: float = TIMEOUT_S) -> Trial:
    """Load and execute a model file in a child process, within `timeout` seconds at most; Keras builds it first.

    A file that has passed, by its SHA-256 `digest`, is not tried again. On Windows and macOS nothing limits the memory
    that it takes.
    """
    if at_once := passed(runtime, digest):
        return Trial(at_once=at_once)
    if failed := _FAILED.get((runtime, digest)):
        return failed[0].named(failed[1], path)
    with _TURN:
        reports: dict[str, Any] = {}
        # One that has had nothing to do may end in this very moment.
        for _ in range(2):
            child, late = _child(), threading.Event()
            timer = threading.Timer(timeout, lambda child=child, late=late: (late.set(), child.end()))
            timer.start()
            try:
                child.send(runtime=runtime, path=str(path))
                reports = child.reports()
            finally:
                timer.cancel()
                if "ended" not in reports:
                    child.end()
            if reports or late.is_set():
                break
    late_words = f"its contents cannot be read within {timeout:g} s" if late.is_set() else ""
    trial = _trial(reports, late_words, "Keras" if runtime == "keras" else f"the runtime {runtime}")
    if trial.wrong or trial.refused:
        _FAILED[runtime, digest] = trial, path
    else:
        _remember(runtime, digest, trial.at_once)
    return trial


def passed(runtime: str, digest: str) -> int:
    """Return how many images at once a file answers that has passed before, or 0."""
    with contextlib.suppress(OSError):
        lines = _lines(cache_directory() / PASSED_FILE)
        return next((count for count in AT_ONCE if f"{digest} {runtime} {count}" in lines), 0)
    return 0


def _lines(file: Path) -> list[str]:
    """Return what the file of those that passed holds: nothing where it is no file, or none of ours."""
    if not file.is_file() or file.stat().st_size > MOST_BYTES:
        return []
    return file.read_text(encoding="ascii", errors="replace").splitlines()


def _remember(runtime: str, digest: str, at_once: int) -> None:
    # To try a file again costs a moment only.
    with contextlib.suppress(OSError, ValueError, StorageError):
        file = cache_directory() / PASSED_FILE
        if file.exists() and not file.is_file():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        kept, line = _lines(file), f"{digest} {runtime} {at_once}\n"
        if kept and len(kept) + 1 < 2 * MOST_PASSED:
            with file.open("a", encoding="ascii") as lines:
                lines.write(line)
        else:
            write_file(
                file, "".join([*(f"{one}\n" for one in kept[1 - MOST_PASSED :]), line]).encode("ascii", "replace")
            )


def _child() -> _Child:
    if not _children or not _children[-1].alive:
        end_child()
        _children.append(_Child())
    return _children[-1]


@atexit.register
def end_child() -> None:
    """End the child, if there is one."""
    while _children:
        _children.pop().end()


def _trial(reports: dict[str, Any], late: str, title: str) -> Trial:
    at_once = int(reports.get("answered", 0))
    if refused := reports.get("refused"):
        return Trial(refused=tuple(refused))
    if wrong := reports.get("wrong"):
        return Trial(wrong, unbounded=wrong in {SLOW, *LACKS_MEMORY.values()})
    if at_once or reports.get("ended") == 0:
        return Trial(at_once=at_once or AT_ONCE[-1])
    phase = reports.get("phase", READ)
    if late or reports.get("ended") == -getattr(signal, "SIGPROF", 0):
        return Trial(late or NEVER_ENDS[phase].format(title), unbounded=True)
    return Trial(FAILED[phase].format(title))
