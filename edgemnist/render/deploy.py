"""The pages of `edgemnist bundle`, `deploy`, `rollback` and `releases`, and the live table of a deployment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from edgemnist.bundle.results import BundleResult
from edgemnist.deploy.results import (
    DEPLOYED,
    FAILED,
    SKIPPED,
    UNCHANGED,
    BoardResult,
    DeployResult,
    ReleasesResult,
    RollbackResult,
)
from edgemnist.render.tables import kilobytes, table
from edgemnist.render.terminal import err

_COLOURS = {DEPLOYED: "green", UNCHANGED: "green", FAILED: "bold red", SKIPPED: "yellow"}


class FleetTable:
    """What each board is doing: a table on a terminal, lines elsewhere. Used in a `with` statement."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._steps = dict.fromkeys(hosts, "waiting")
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

    def step(self, host: str, step: str) -> None:
        """Show the step that begins on a board; called from several threads."""
        with self._lock:
            self._steps[host] = step
            if self._live is None:
                err().print(f"{escape(host)}: {escape(step)}")
                return
            self._live.update(self._draw(), refresh=True)

    def _draw(self) -> RenderableType:
        page = table("board", "", left=[""])
        for host, step in self._steps.items():
            page.add_row(escape(host), f"[{_COLOURS.get(step, 'cyan')}]{escape(step)}[/]")
        return page


def bundle_page(result: BundleResult) -> RenderableType:
    """Draw what is in the bundle."""
    wheels = "fetched by the board" if not result.pythons else f"{result.machine}, Python {', '.join(result.pythons)}"
    rows = {
        "file": f"{result.bundle}, {kilobytes(result.bytes)}",
        "artifacts": ", ".join(result.artifacts),
        "package": f"edgemnist {result.edgemnist} with {', '.join(result.extras)}",
        "wheels": wheels,
        "signed": "yes" if result.signed else "no",
        "identity": result.identity[:12],
    }
    page = table("bundle", "", left=[""])
    for name, value in rows.items():
        page.add_row(name, escape(value))
    return page


def deploy_page(result: DeployResult) -> RenderableType:
    """Draw a line for each board, and below them why some do not have the release."""
    page = table("board", "", "release", "before", "seconds", "self-test",
                 left=["", "release", "before"], prose=["self-test"])  # fmt: skip
    for board in result.boards:
        colour = _COLOURS[board.status]
        page.add_row(
            escape(board.host),
            f"[{colour}]{board.status}[/]",
            board.release or "",
            board.previous or "",
            f"{board.seconds:.1f}",
            _selftest(board),
        )
    faults = [
        Text.assemble((f"{board.host}: ", "bold red"), board.fault.message, ". ", board.fault.hint)
        for board in result.boards
        if board.fault is not None
    ]
    warnings = [
        Text.assemble((f"{board.host}: ", "yellow"), f"{finding.name} {finding.value}. {finding.meaning}")
        for board in result.boards
        for finding in board.findings
    ]
    return Group(page, *faults, *warnings)


def _selftest(board: BoardResult) -> str:
    test = board.selftest
    if test is None:
        return ""
    verdicts = sorted({parity.replay.verdict for parity in test.artifacts if parity.replay is not None})
    return f"{test.images:,} images" + (f", {', '.join(verdicts)}" if verdicts else "")


def rollback_page(result: RollbackResult) -> RenderableType:
    """Say which release serves now."""
    return Text(f"{result.host} serves {result.release} again (before: {result.previous or 'nothing'}).")


def releases_page(result: ReleasesResult) -> RenderableType:
    """Draw the releases, the newest last, and what is unfinished."""
    if not result.releases:
        return Text(f"{result.host} has no release.")
    page = table("release", "", "edgemnist", "artifacts", "signed", "deployed", "files",
                 left=["", "edgemnist", "signed"], prose=["artifacts", "deployed", "files"])  # fmt: skip
    for row in result.releases:
        page.add_row(
            row.release,
            "[green]serves[/]" if row.current else "",
            row.edgemnist or "",
            ", ".join(row.artifacts),
            "yes" if row.signed else "no",
            (row.deployed_at or "").replace("T", " "),
            "[bold red]not whole[/]" if row.problems else "whole",
        )
    notes = [
        Text.assemble((f"{row.release}: ", "bold red"), problem) for row in result.releases for problem in row.problems
    ]
    if result.pending:
        notes.append(Text(f"The switch to {result.pending} was cut off; the next deployment ends or undoes it."))
    if result.busy:
        notes.append(Text(f"A deployment is at work there (process {result.busy})."))
    return Group(page, *notes)
