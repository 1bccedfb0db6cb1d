"""How a stage says what it is doing, without knowing whether anybody is looking.

Stages take a `Reporter` and never print. The command line passes one that draws on stderr; tests and library users may
leave the silent default.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence


class Task:
    """One piece of work that takes a while."""

    def update(self, completed: float, detail: str = "") -> None:
        """Say how far it is, in the units of the task's total, and a few words such as `loss 0.031`."""


class Reporter:
    """Notices and progress; this one keeps silent."""

    alarm: Callable[[Sequence[str] | None], None] = staticmethod(lambda _: None)
    """Is told what of the answers has changed beyond chance, when that is new; None once nobody can know."""

    def notice(self, message: str) -> None:
        """Tell the user one thing that they would want to know, in one sentence."""

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Show a task for as long as the body runs; `total` is None where the end is unknown."""
        del description, total
        yield Task()


SILENT = Reporter()
