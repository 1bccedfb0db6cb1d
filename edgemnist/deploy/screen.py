"""The page of `edgemnist deploy`, and the live table of a deployment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from edgemnist.console.tables import closing, fault_line, table
from edgemnist.console.terminal import err
from edgemnist.formatting import count
from edgemnist.results.boards import DEPLOYED, FAILED, SHADOW, SKIPPED, UNCHANGED, BoardResult, DeployResult, labels

_COLOURS = {DEPLOYED: "green", SHADOW: "green", UNCHANGED: "green", FAILED: "bold red", SKIPPED: "yellow"}


@contextlib.contextmanager
def fleet_table(boards: Sequence[str]) -> Iterator[Callable[[str, str], None]]:
    """Show what each board is doing: in a table on a terminal, in lines elsewhere.

    Gives what is called, from several threads, with a board and the step that begins there.
    """
    console = err()
    steps = dict.fromkeys(boards, "waiting")
    lock = threading.Lock()
    live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def show(board: str, step: str) -> None:
        with lock:
            steps[board] = step
            if live is None:
                console.print(f"{board}: {step}")
                return
            page = table("board", "", left=[""])
            for name, doing in steps.items():
                page.add_row(name, Text(doing, _COLOURS.get(doing, "cyan")))
            live.update(page, refresh=True)

    with live or contextlib.nullcontext():
        yield show


def deploy_page(result: DeployResult) -> RenderableType:
    """Draw a line for each board, and below them why some do not have the release."""
    page = table("board", "", "release", "before", "seconds", "self-test",
                 left=["", "release", "before"], prose=["self-test"])  # fmt: skip
    names = labels([(board.host, board.root) for board in result.boards])
    faults: list[Text] = []
    warnings: list[Text] = []
    for name, board in zip(names, result.boards, strict=True):
        page.add_row(
            name,
            Text(board.status, _COLOURS[board.status]),
            board.release or "",
            board.previous or "",
            f"{board.seconds:.1f}",
            _selftest(board),
        )
        faults += [] if board.fault is None else [fault_line(name, board.host, board.fault)]
        warnings += [
            Text.assemble((f"{name}: ", "yellow"), f"{finding.name} {finding.value}. {finding.meaning}")
            for finding in board.findings
        ]
    having = sum(board.status not in {FAILED, SKIPPED} for board in result.boards)
    without = [board.host for board in result.boards if board.fault is not None]
    step = f"edgemnist doctor --on {without[0]}" if without else f"edgemnist bench --on {result.boards[0].host}"
    last = closing(f"The release is on {having} of {count(len(result.boards), 'board')}.", step, passed=result.passed)
    return Group(page, *faults, *warnings, last)


def _selftest(board: BoardResult) -> str:
    test = board.selftest
    if test is None:
        return ""
    verdicts = sorted({parity.replay.verdict for parity in test.artifacts if parity.replay is not None})
    return count(test.images, "image") + (f", {', '.join(verdicts)}" if verdicts else "")
