"""Commands that run on a board and answer here: `--on HOST`, `release`."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgemnist.errors import UsageError
from edgemnist.fleet.deploy.answers import Examined, Ran, clean_result
from edgemnist.fleet.deploy.run import MOST_WORK_S, OnStep, left_alone
from edgemnist.fleet.deploy.target import ANSWER_S, BoardAddress, open_board, require_distinct
from edgemnist.fleet.deploy.transport import ConnectionLostError
from edgemnist.fleet.doctor.artifacts import arguments, read_checks
from edgemnist.fleet.doctor.checks import examine
from edgemnist.ground.boards import EXPORTS, Stop, in_parallel, on_ctrl_c
from edgemnist.ground.results.boards import Check, DoctorResult, ReleasesResult, RollbackResult


class _Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    root: str | None = None


class _Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    board: list[_Board]
    root: str | None = None


def read_inventory(path: Path, *, root: str | None, ssh_config: Path | None) -> list[BoardAddress]:
    """Return the boards of an inventory, with `root` in the place of its own. Raises UsageError if it is none."""
    hint = 'Each board is two lines: [[board]] and host = "user@host".'
    try:
        text = path.read_text(encoding="utf-8")
        inventory = msgspec.toml.decode(text, type=_Inventory)
    except OSError as error:
        raise UsageError(f"The inventory {path} cannot be read: {error.strerror}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not an inventory of boards: {error}", hint=hint) from error
    return [
        BoardAddress.of(board.host, root=root or board.root or inventory.root, ssh_config=ssh_config)
        for board in inventory.board
    ]


def named_boards(
    hosts: Sequence[str], inventory: Path | None, *, root: str | None, ssh_config: Path | None
) -> list[BoardAddress]:
    """Return the boards that a command line names. Raises UsageError for what names none, or one twice."""
    boards = [BoardAddress.of(host, root=root, ssh_config=ssh_config) for host in hosts]
    if inventory is not None:
        boards += read_inventory(inventory, root=root, ssh_config=ssh_config)
    require_distinct(boards)
    return boards


def doctor_on(target: BoardAddress, on_step: OnStep = lambda _: None) -> DoctorResult:
    """Examine a board, whether edgemnist is installed there or not."""
    with open_board(target) as board:
        answer = board.ask("doctor", Examined, {"imports": True}, on_step, limit_s=ANSWER_S)
        repair = target.repair(installed=answer.installed)
        artifacts: list[Check] = []
        if answer.installed:
            words = ["edgemnist.fleet.doctor.artifacts", EXPORTS, *arguments(repair)]
            ran = board.ask("run", Ran, {"module": words, "files": {}}, limit_s=ANSWER_S)
            artifacts = read_checks(ran.stdout)
    return clean_result(target.name, examine(target.name, answer.facts, answer.probes, artifacts, repair))


def releases_on(target: BoardAddress) -> ReleasesResult:
    """List the releases of a board, after the board has read every file of them."""
    with open_board(target) as board:
        return board.ask("releases", ReleasesResult, limit_s=ANSWER_S)


def rollback_on(
    target: BoardAddress, release: str | None, wait_s: float, on_step: OnStep = lambda _: None
) -> RollbackResult:
    """Let an older release serve again: the named one, or the one before the current. See `switch_on`."""
    request = {"release": release, "wait_s": wait_s}
    return switch_on(target, "rollback", request, on_step, limit_s=MOST_WORK_S + wait_s)


def switch_on(
    target: BoardAddress, verb: str, request: dict[str, Any], on_step: OnStep = lambda _: None, *, limit_s: float
) -> RollbackResult:
    """Ask a board to let another release serve. Raises what the board reports.

    Ctrl-C ends it if the switch has not begun; pressed again it leaves the board, which goes on by itself.
    """
    stop = Stop()

    def ask() -> None:
        on_step("stopping")
        # Over ssh, which takes a moment.
        threading.Thread(target=stop.ask, daemon=True).start()

    def work(_: int) -> RollbackResult:
        with open_board(target, stop) as board, stop.by(board.interrupt):
            return board.ask(verb, RollbackResult, request, on_step, limit_s=limit_s)

    with on_ctrl_c(ask, stop.insist):
        try:
            (answer,) = in_parallel(1, work, [0])
        except ConnectionLostError as error:
            if not stop.asked:
                raise
            raise left_alone(target.host.name) from error
    return msgspec.structs.replace(answer, interrupted=stop.asked)
