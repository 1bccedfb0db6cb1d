"""Progress bars and notices on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edgemnist.progress import Reporter, Task
from edgemnist.render.terminal import err


class TerminalReporter(Reporter):
    """Draws bars where stderr is a terminal; elsewhere only notices are written."""

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
        with Progress(*columns, console=err(), transient=True, disable=not err().is_terminal) as progress:
            yield _Bar(progress, progress.add_task(description, total=total, detail=""))


class _Bar(Task):
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, completed: float, detail: str = "") -> None:
        self._progress.update(self._task, completed=completed, detail=detail)
