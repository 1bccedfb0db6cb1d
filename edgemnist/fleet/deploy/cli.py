"""`edgemnist deploy`: its options and its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_INTERRUPTED
from edgemnist.ground.console import command_app, err, options, show, show_interrupted
from edgemnist.ground.console.options import option
from edgemnist.ground.console.tables import closing, fault_line, table
from edgemnist.ground.formatting import count
from edgemnist.ground.results.boards import FAILED, SKIPPED, BoardResult, DeployResult, labels

if TYPE_CHECKING:
    from edgemnist.fleet.deploy.target import BoardAddress

_COLOURS: Final = {"deployed": "green", "unchanged": "green", FAILED: "bold red", SKIPPED: "yellow"}

app = command_app()


@app.command(epilog="Example: edgemnist deploy bundle.zip --to pi@raspberrypi.local")
def deploy(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgemnist bundle` wrote.")],
    *,
    to: options.To = None,
    inventory: Path | None = option("--inventory FILE", "Boards from a fleet.toml, in addition to --to."),
    max_p99_us: float | None = option("--max-p99-us µs", "Latency limit of the self-test, for one call."),
    max_rss_mb: float | None = option("--max-rss-mb MB", "Memory limit of the self-test."),
    selftest_timeout: float = option("--selftest-timeout SECONDS", "Time limit of the self-test.", 300.0),
    keep: int = option("--keep", "Releases to keep on a board.", 3),
    parallel: int = option("--parallel", "Boards to deploy to at the same time.", 20),
    canary: int = option("--canary N", "Boards to deploy to first; the others follow only if none of these fails.", 0),
    max_failures: int | None = option(
        "--max-failures N", "Start no more boards once more than this many have failed.", shown="no limit"
    ),
    wait: options.Wait = 60.0,
    retries: int = option("--retries", "How many times to resume after a lost connection.", 3),
    json: options.Json = False,
) -> None:
    """Deploy a bundle to boards: preflight, transfer, self-test on the board, one atomic switch, and back on failure.

    Without --to and --inventory, the board is this machine.
    Exit 1 if a self-test or a service failed; the old release then keeps serving.
    Ctrl-C stops the deployment on every board where the switch has not begun.
    """
    from edgemnist.board.agent import SelfTestLimits
    from edgemnist.fleet.deploy.run import DeployConfig, FleetConfig, deploy_fleet, open_bundle

    del inventory  # Its boards are among those of --to.
    targets = to or []
    limits = SelfTestLimits(timeout_s=selftest_timeout, max_p99_us=max_p99_us, max_rss_mb=max_rss_mb)
    config = DeployConfig(limits=limits, keep=keep, wait_s=wait, retries=retries)
    fleet = FleetConfig(parallel=parallel, canary=canary, max_failures=max_failures)
    checked = open_bundle(bundle)
    # Made here once: two boards' threads that ask for it at the same time would each get one of their own.
    notices = err()
    result = deploy_fleet(targets, checked, config, fleet, lambda board, step: notices.print(f"{board}: {step}"))
    show(result, lambda: deploy_page(result, targets), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
    codes = [board.fault.exit_code for board in result.boards if board.fault is not None]
    if codes:
        raise typer.Exit(max(codes))


def deploy_page(result: DeployResult, targets: Sequence[BoardAddress]) -> RenderableType:
    """Draw a line for each board, in the order of `targets`, and below them why some do not have the release."""
    page = table("board", "", "release", "before", "seconds", "self-test",
                 left=["", "release", "before"], prose=["self-test"])  # fmt: skip
    names = labels([(board.host, board.root) for board in result.boards])
    faults: list[Text] = []
    warnings: list[Text] = []
    for name, board in zip(names, result.boards, strict=True):
        status = Text(board.status, _COLOURS[board.status])
        cells = (board.release or "", board.previous or "", f"{board.seconds:.1f}", _selftest(board))
        page.add_row(name, status, *cells)
        faults += [] if board.fault is None else [fault_line(name, board.host, board.fault)]
        warnings += [
            Text.assemble((f"{name}: ", "yellow"), f"{finding.name} {finding.value}. {finding.meaning}")
            for finding in board.findings
        ]
    having = sum(board.status not in {FAILED, SKIPPED} for board in result.boards)
    without = [target for target, board in zip(targets, result.boards, strict=True) if board.fault is not None]
    first = targets[0]
    step = f"release list{first.named('--to')}" if first.host.is_here else f"bench{first.named('--on')}"
    if without:
        step = f"doctor{without[0].named('--on')}"
    verdict = f"The release is on {having} of {count(len(result.boards), 'board')}."
    last = closing(verdict, f"edgemnist {step}", passed=result.passed)
    return Group(page, *faults, *warnings, last)


def _selftest(board: BoardResult) -> str:
    test = board.selftest
    if test is None:
        return ""
    verdicts = sorted({parity.replay.verdict for parity in test.artifacts if parity.replay is not None})
    return count(test.images, "answer") + (f", {', '.join(verdicts)}" if verdicts else "")
