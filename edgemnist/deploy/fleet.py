"""`fleet.toml`: the boards of a fleet.

root = "/srv/edgemnist"          # for all boards that name no other; may be left out

[[board]]
host = "pi@kitchen.local"        # as for ssh; aliases of the SSH configuration work

[[board]]
host = "pi@door.local:2222"
root = "/data/edgemnist"
"""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgemnist.deploy.sequence import DeployConfig, LocalBundle, deploy_to
from edgemnist.deploy.stop import Stop, in_parallel, on_ctrl_c
from edgemnist.deploy.target import BoardAddress, require_distinct
from edgemnist.errors import UsageError, check_range
from edgemnist.results.boards import FAILED, SKIPPED, BoardResult, DeployResult, Fault, labels


class _Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    root: str | None = None


class _Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    board: list[_Board]
    root: str | None = None


def read_inventory(path: Path, *, root: str | None = None, ssh_config: Path | None = None) -> list[BoardAddress]:
    """Return the boards of an inventory; `root` takes the place of the file's own.

    Raises UsageError if the file cannot be read or is not an inventory.
    """
    hint = 'Each board is two lines: [[board]] and host = "user@host".'
    try:
        text = path.read_text(encoding="utf-8")
        inventory = msgspec.convert(tomllib.loads(text), _Inventory)
    except OSError as error:
        raise UsageError(f"The inventory {path} cannot be read: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{path} is not an inventory of boards: {error}", hint=hint) from error
    return [
        BoardAddress.of(board.host, root=root or board.root or inventory.root, ssh_config=ssh_config)
        for board in inventory.board
    ]


OnBoard = Callable[[str, str], None]
"""Is told a board, as `labels` names it, and the step that begins there, from several threads."""


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """In which order boards are taken. Raises UsageError for a value out of its range."""

    parallel: int = 20
    """Boards at the same time. Their work is theirs; here each costs an idle process."""
    canary: int = 0
    """Boards that go first; the rest follows only where all of these serve the release."""
    max_failures: int | None = None
    """Begin no further board once more than this many have failed; None goes through all of them."""

    def __post_init__(self) -> None:
        check_range("--parallel", self.parallel, least=1)
        check_range("--canary", self.canary, least=0)
        check_range("--max-failures", self.max_failures, least=0)


def deploy_fleet(
    targets: Sequence[BoardAddress],
    bundle: LocalBundle,
    config: DeployConfig,
    fleet: FleetConfig,
    on_board: OnBoard = lambda _board, _step: None,
) -> DeployResult:
    """Deploy to every board and return one result for each, in the order in which they were named.

    Ctrl-C begins no further board, and ends the work on the others where the switch has not begun; a second one waits
    for none of them. Raises UsageError where a board is named twice or none is; what goes wrong on a board is in its
    result.
    """
    require_distinct(targets)
    tally = _Tally(fleet.max_failures)
    names = labels([(target.host.name, target.root) for target in targets])
    jobs = [_Job(target, name) for target, name in zip(targets, names, strict=True)]

    def one(job: _Job) -> BoardResult:
        if reason := tally.stopped():
            return _skipped(job, reason)
        job.working = True
        result = deploy_to(job.target, bundle, config, lambda step: on_board(job.label, step), job.stop)
        job.working = False
        on_board(job.label, result.status)
        tally.failed.append(result.status == FAILED)
        return result

    def interrupt() -> None:
        tally.interrupted = True
        for job in jobs:
            if job.working:
                on_board(job.label, "stopping")
            # Over ssh, which takes a moment.
            threading.Thread(target=job.stop.ask, daemon=True).start()

    def insist() -> None:
        for job in jobs:
            job.stop.insist()

    results: list[BoardResult] = []
    with on_ctrl_c(interrupt, insist):
        for wave in (jobs[: fleet.canary], jobs[fleet.canary :]):
            if not tally.stopped() and any(result.status == FAILED for result in results):
                results += [_skipped(job, "a canary failed") for job in wave]
                continue
            results += in_parallel(fleet.parallel, one, wave)
    return DeployResult(
        bundle=str(bundle.path),
        identity=bundle.record.identity(),
        passed=all(result.fault is None for result in results),
        interrupted=tally.interrupted,
        boards=results,
    )


@dataclass
class _Job:
    """The deployment to one board."""

    target: BoardAddress
    label: str
    stop: Stop = field(default_factory=Stop)
    working: bool = False


@dataclass
class _Tally:
    """Knows, over all threads, whether to go on."""

    most: int | None
    failed: list[bool] = field(default_factory=list)
    interrupted: bool = False

    def stopped(self) -> str:
        """Return why no further board is begun, or nothing."""
        if self.interrupted:
            return "the deployment was interrupted"
        count = sum(self.failed)
        return (
            ""
            if self.most is None or count <= self.most
            else f"{count} of the boards failed, more than the {self.most} allowed"
        )


def _skipped(job: _Job, reason: str) -> BoardResult:
    host = job.target.host.name
    fault = Fault(type="Skipped", message=f"{host} was skipped: {reason}", hint="", exit_code=1)
    return BoardResult(host=host, root=job.target.root, status=SKIPPED, fault=fault)
