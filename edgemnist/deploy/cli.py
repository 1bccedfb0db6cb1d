"""`edgemnist deploy`: its options, its page, and the live table of a deployment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import command_app, options, show
from edgemnist.console.tables import closing, fault_line, table
from edgemnist.errors import EXIT_INTERRUPTED
from edgemnist.formatting import count
from edgemnist.results.boards import DEPLOYED, FAILED, SHADOW, SKIPPED, UNCHANGED, BoardResult, DeployResult, labels

_COLOURS: Final = {DEPLOYED: "green", SHADOW: "green", UNCHANGED: "green", FAILED: "bold red", SKIPPED: "yellow"}

app = command_app()


@app.command(epilog="Example: edgemnist deploy bundle.zip --to pi@raspberrypi.local")
def deploy(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgemnist bundle` wrote.")],
    *,
    to: options.To = None,
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", metavar="FILE", help="Boards from a fleet.toml, in addition to --to."),
    ] = None,
    max_p99_us: Annotated[
        float | None, typer.Option("--max-p99-us", metavar="µs", help="Latency limit of the self-test, for one image.")
    ] = None,
    max_rss_mb: Annotated[
        float | None, typer.Option("--max-rss-mb", metavar="MB", help="Memory limit of the self-test.")
    ] = None,
    selftest_timeout: Annotated[
        float, typer.Option("--selftest-timeout", metavar="SECONDS", help="Time limit of the self-test.")
    ] = 300.0,
    keep: Annotated[int, typer.Option("--keep", help="Releases to keep on a board.")] = 3,
    parallel: Annotated[int, typer.Option("--parallel", help="Boards to deploy to at the same time.")] = 20,
    canary: Annotated[
        int,
        typer.Option(
            "--canary", metavar="N", help="Boards to deploy to first; the others follow only if none of these fails."
        ),
    ] = 0,
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures",
            metavar="N",
            show_default="no limit",
            help="Start no more boards once more than this many have failed.",
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Let it answer beside the release that serves, until `edgemnist promote` switches to it."
        ),
    ] = False,
    wait: options.Wait = 60.0,
    retries: Annotated[int, typer.Option("--retries", help="How many times to resume after a lost connection.")] = 3,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Let a board that requires signatures go back to an older bundle.")
    ] = False,
    root: options.Root = None,
    ssh_config: options.SshConfig = None,
    json: options.Json = False,
) -> None:
    """Deploy a bundle to boards: preflight, transfer, self-test on the board, one atomic switch, and back on failure.

    Exit 1 if a self-test or a service failed; the old release then keeps serving.
    Ctrl-C stops the deployment on every board where the switch has not begun.
    """
    from edgemnist.agent import SelfTestLimits
    from edgemnist.console import show_interrupted
    from edgemnist.deploy.run import DeployConfig, FleetConfig, deploy_fleet, open_bundle, read_inventory
    from edgemnist.deploy.target import BoardAddress

    targets = [BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in to or ()]
    if inventory is not None:
        targets += read_inventory(inventory, root=root, ssh_config=ssh_config)
    limits = SelfTestLimits(timeout_s=selftest_timeout, max_p99_us=max_p99_us, max_rss_mb=max_rss_mb)
    config = DeployConfig(
        limits=limits, keep=keep, wait_s=wait, retries=retries, allow_downgrade=allow_downgrade, shadow=shadow
    )
    fleet = FleetConfig(parallel=parallel, canary=canary, max_failures=max_failures)
    checked = open_bundle(bundle)
    with fleet_table(labels([(target.host.name, target.root) for target in targets])) as step:
        result = deploy_fleet(targets, checked, config, fleet, step)
    show(result, lambda: deploy_page(result), json=json)
    if result.interrupted:
        show_interrupted()
        raise typer.Exit(EXIT_INTERRUPTED)
    codes = [board.fault.exit_code for board in result.boards if board.fault is not None]
    if codes:
        raise typer.Exit(max(codes))


@contextlib.contextmanager
def fleet_table(boards: Sequence[str]) -> Iterator[Callable[[str, str], None]]:
    """Show what each board is doing: in a table on a terminal, in lines elsewhere.

    Gives what is called, from several threads, with a board and the step that begins there.
    """
    from rich.live import Live

    from edgemnist.console import err

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
