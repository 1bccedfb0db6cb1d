"""The two streams that reach the user: results on stdout, progress and notices on stderr.

TensorFlow, XLA and the converters write to the file descriptors 1 and 2 from C++, past Python. So the consoles here
write to copies of those descriptors, and `quiet_libraries` sends the originals to a file while a library is at work.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from functools import cache
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edgemnist.errors import EdgemnistError
from edgemnist.progress import Reporter, Task


@cache
def out() -> Console:
    """Return the console for results."""
    return _console(sys.__stdout__, 1)


@cache
def err() -> Console:
    """Return the console for progress and notices."""
    return _console(sys.__stderr__, 2)


class _Console(Console):
    """A console whose reader may go away: Rich would end the process with the exit code of a missed gate."""

    def on_broken_pipe(self) -> None:
        """Hand the error on."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _console(stream: TextIO | None, descriptor: int) -> Console:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return Console(file=io.StringIO())
    encoding = getattr(stream, "encoding", None) or "utf-8"
    file = io.TextIOWrapper(os.fdopen(copy, "wb", 0), encoding=encoding, errors="replace", write_through=True)
    return _Console(file=file, highlight=False, soft_wrap=not file.isatty())


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the chatter of libraries, C++ included, away from the terminal.

    What they wrote is shown on stderr only where the body ends in an exception that is a defect of ours.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    out(), err()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log, contextlib.ExitStack() as stack:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(log.fileno(), descriptor)
        yield


class TerminalReporter(Reporter):
    """Draws bars where stderr is a terminal; elsewhere notices are written, and the tasks that are asked for."""

    def __init__(self, lines: Collection[str] = ()) -> None:
        """`lines` are tasks whose every step is worth a line where no bar can be drawn, by their description."""
        self._lines = frozenset(lines)

    def notice(self, message: str) -> None:
        """Write one line."""
        err().print(f"[yellow]note:[/] {escape(message)}")

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Draw a bar with the time left."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(),
        )
        if description in self._lines and not err().is_terminal:
            yield _Lines(description, total)
            return
        # Redirected streams would carry what libraries print past `quiet_libraries`, to the terminal.
        with Progress(
            *columns,
            console=err(),
            transient=True,
            disable=not err().is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress:
            yield _Bar(progress, progress.add_task(description, total=total, detail=""))


class _Bar(Task):
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, completed: float, detail: str = "") -> None:
        self._progress.update(self._task, completed=completed, detail=detail)


class _Lines(Task):
    """Writes a line for each step."""

    def __init__(self, description: str, total: float | None) -> None:
        self._description = description
        self._total = total

    def update(self, completed: float, detail: str = "") -> None:
        share = f" {completed / self._total:.0%}" if self._total else ""
        err().print(f"{self._description}{share}: {escape(detail)}" if detail else f"{self._description}{share}")


def show_error(error: EdgemnistError) -> None:
    """Print the message and the hint on stderr."""
    stop = "" if error.message.endswith("?") else "."
    err().print(f"[bold red]error:[/] {escape(error.message)}{stop}")
    if error.hint:
        err().print(f"       {escape(error.hint)}")


def show_interrupted() -> None:
    """Print that the user stopped the command."""
    err().print("[bold]interrupted[/]")
