"""Reporters that remember."""

import contextlib
from collections.abc import Iterator

from edgemnist.ground.progress import Reporter, Task


class Notices(Reporter):
    """Remembers what the user would have been told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notice(self, message: str) -> None:
        self.messages.append(message)

    @property
    def heard(self) -> str:
        return "\n".join(self.messages)


class Listener(Notices):
    """Remembers tasks and their progress, too, and presses Ctrl-C once so much of one is done."""

    def __init__(self, interrupt_after: float | None = None) -> None:
        super().__init__()
        self.totals: list[float | None] = []
        self.updates: list[tuple[float, str]] = []
        self.interrupt_after = interrupt_after

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Remember a task and its progress."""
        del description
        self.totals.append(total)
        yield _Listening(self)


class _Listening(Task):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def update(self, completed: float, detail: str = "") -> None:
        self._listener.updates.append((completed, detail))
        if completed == self._listener.interrupt_after:
            raise KeyboardInterrupt
