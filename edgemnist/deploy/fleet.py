"""Many boards: a few first, then the rest at once, and a stop where too many fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edgemnist.deploy.results import FAILED, SKIPPED, BoardResult, DeployResult, Fault
from edgemnist.deploy.sequence import DeployConfig, LocalBundle, deploy_to
from edgemnist.deploy.target import Target
from edgemnist.errors import UsageError

OnBoard = Callable[[str, str], None]
"""Is told a host and the step that begins there, from several threads."""


def _silent(host: str, step: str) -> None:
    del host, step


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """In which order boards are taken. Raises UsageError for a value that makes no sense."""

    parallel: int = 20
    """Boards at the same time. Their work is theirs; here each costs an idle process."""
    canary: int = 0
    """Boards that go first; the rest follows only where all of these serve the release."""
    max_failures: int | None = None
    """Begin no further board once more than this many have failed; None goes through all of them."""

    def __post_init__(self) -> None:
        for option, value, least in (
            ("--parallel", self.parallel, 1),
            ("--canary", self.canary, 0),
            ("--max-failures", self.max_failures or 0, 0),
        ):
            if value < least:
                raise UsageError(f"{option} {value} makes no sense", hint=f"It is at least {least}.")


def deploy_fleet(
    targets: Sequence[Target],
    bundle: LocalBundle,
    config: DeployConfig,
    fleet: FleetConfig,
    on_board: OnBoard = _silent,
) -> DeployResult:
    """Deploy to every board and return one result for each, in the order in which they were named.

    Raises UsageError where a board is named twice or none is; what goes wrong on a board is in its result.
    """
    _require_distinct(targets)
    tally = _Tally(fleet.max_failures)

    def one(target: Target) -> BoardResult:
        host = target.host.name
        if reason := tally.stopped():
            return _skipped(host, reason)
        result = deploy_to(target, bundle, config, lambda step: on_board(host, step))
        on_board(host, result.status)
        tally.count(result)
        return result

    results: list[BoardResult] = []
    for wave in (targets[: fleet.canary], targets[fleet.canary :]):
        if results and any(result.status == FAILED for result in results):
            results += [_skipped(target.host.name, "a canary failed") for target in wave]
            continue
        with ThreadPoolExecutor(max_workers=fleet.parallel) as pool:
            results += pool.map(one, wave)
    return DeployResult(
        bundle=str(bundle.path),
        identity=bundle.record.identity(),
        passed=all(result.fault is None for result in results),
        boards=results,
    )


class _Tally:
    """Counts failures over all threads."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._failed = 0
        self._lock = threading.Lock()

    def count(self, result: BoardResult) -> None:
        with self._lock:
            self._failed += result.status == FAILED

    def stopped(self) -> str:
        """Return why no further board is begun, or nothing."""
        with self._lock:
            if self._most is not None and self._failed > self._most:
                return f"{self._failed} boards failed, {self._most} allowed"
        return ""


def _skipped(host: str, reason: str) -> BoardResult:
    fault = Fault(type="Skipped", message=f"{host} was not begun: {reason}", hint="", exit_code=1)
    return BoardResult(host=host, status=SKIPPED, fault=fault)


def _require_distinct(targets: Sequence[Target]) -> None:
    if not targets:
        raise UsageError("No board is named", hint="Name one with --to user@host, or several with --inventory FILE.")
    seen = set()
    for target in targets:
        if (target.host.name, target.root) in seen:
            raise UsageError(f"{target.host.name} is named twice", hint="Name each board once.")
        seen.add((target.host.name, target.root))
