"""The page of `edgemnist deploy`, and the live table of a deployment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from edgemnist.console.tables import fault_line, table
from edgemnist.console.terminal import err
from edgemnist.results.boards import (
    DEPLOYED,
    FAILED,
    SKIPPED,
    UNCHANGED,
    BoardResult,
    DeployResult,
    labels,
)

_COLOURS = {DEPLOYED: "green", UNCHANGED: "green", FAILED: "bold red", SKIPPED: "yellow"}


class FleetTable:
    """What each board is doing: a table on a terminal, lines elsewhere. Used in a `with` statement."""

    def __init__(self, boards: Sequence[str]) -> None:
        self._steps = dict.fromkeys(boards, "waiting")
        self._lock = threading.Lock()
        self._live = Live(console=err(), transient=True, auto_refresh=False) if err().is_terminal else None

    def __enter__(self) -> FleetTable:  # noqa: PYI034 - nobody derives from it
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, board: str, step: str) -> None:
        """Show the step that begins on a board; called from several threads."""
        with self._lock:
            self._steps[board] = step
            if self._live is None:
                err().print(f"{escape(board)}: {escape(step)}")
                return
            self._live.update(self._draw(), refresh=True)

    def _draw(self) -> RenderableType:
        page = table("board", "", left=[""])
        for board, step in self._steps.items():
            page.add_row(escape(board), f"[{_COLOURS.get(step, 'cyan')}]{escape(step)}[/]")
        return page


def deploy_page(result: DeployResult) -> RenderableType:
    """Draw a line for each board, and below them why some do not have the release."""
    page = table("board", "", "release", "before", "seconds", "self-test",
                 left=["", "release", "before"], prose=["self-test"])  # fmt: skip
    names = labels([(board.host, board.root) for board in result.boards])
    for name, board in zip(names, result.boards, strict=True):
        colour = _COLOURS[board.status]
        page.add_row(
            escape(name),
            f"[{colour}]{board.status}[/]",
            board.release or "",
            board.previous or "",
            f"{board.seconds:.1f}",
            _selftest(board),
        )
    faults = [
        fault_line(name, board.host, board.fault)
        for name, board in zip(names, result.boards, strict=True)
        if board.fault is not None
    ]
    warnings = [
        Text.assemble((f"{name}: ", "yellow"), f"{finding.name} {finding.value}. {finding.meaning}")
        for name, board in zip(names, result.boards, strict=True)
        for finding in board.findings
    ]
    return Group(page, *faults, *warnings)


def _selftest(board: BoardResult) -> str:
    test = board.selftest
    if test is None:
        return ""
    verdicts = sorted({parity.replay.verdict for parity in test.artifacts if parity.replay is not None})
    return f"{test.images:,} images" + (f", {', '.join(verdicts)}" if verdicts else "")
