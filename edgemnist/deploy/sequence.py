"""The deployment to one board: preflight, transfer, and what the board makes of it, taken up again if a line is cut."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from edgemnist.agent.apply import DamagedTransferError, StoppedError
from edgemnist.agent.bundle import Archive, BundleRecord, read_record, read_signature
from edgemnist.agent.durable import hash_file
from edgemnist.agent.facts import BoardFacts, program_machine
from edgemnist.agent.request import SelfTestLimits
from edgemnist.deploy.answers import Applied, Prepared, message
from edgemnist.deploy.stop import Stop
from edgemnist.deploy.target import BoardAddress, open_board
from edgemnist.deploy.transport import ConnectionLostError
from edgemnist.doctor.checks import (
    INSTALL_BYTES,
    NO_SMALL_WHEELS,
    RUNTIME_PACKAGES,
    SMALL,
    check_board,
    small_board_fix,
)
from edgemnist.errors import EXIT_BAD_INPUT, BundleError, DeployError, EdgemnistError, check_range
from edgemnist.results.boards import FAILED, BoardResult, Check, Fault, Level, Step


def require_fit(host: str, facts: BoardFacts, findings: Sequence[Check], record: BundleRecord, size: int) -> None:
    """Raise where a bundle of `size` bytes cannot end well on a board.

    DeployError for a board that is not fit, BundleError for wheels of another processor or Python.
    """
    for finding in findings:
        if finding.level is Level.FAILURE:
            raise DeployError(
                f"{host}: {finding.name} {finding.value}: {finding.meaning}".rstrip("."), hint=finding.fix
            )
    if facts.bits == SMALL and set(RUNTIME_PACKAGES.values()) & set(record.extras):
        raise DeployError(f"{NO_SMALL_WHEELS} such as {host}'s, and the bundle needs them", hint=small_board_fix(facts))
    machine = program_machine(facts.kernel_machine, facts.bits)
    record.check_fits(host, machine, ".".join(facts.python.split(".")[:2]))
    # The bundle as it comes, and once more unpacked.
    if facts.disk_free_bytes is not None and facts.disk_free_bytes < 2 * size:
        raise DeployError(
            f"{host} has {facts.disk_free_bytes / 1e6:,.1f} MB free, and the bundle needs {2 * size / 1e6:,.1f} MB",
            hint=f"Free some space there: sudo apt clean   A first install takes {INSTALL_BYTES / 1e6:.0f} MB more.",
        )


OnStep = Callable[[str], None]

MOST_WAIT_S = 86_400.0
"""A day: nobody waits longer for a board."""
MOST_WORK_S = 7_200.0
"""Two hours for what a board does besides waiting and testing; an installation alone may take half an hour."""


@dataclass(frozen=True, kw_only=True)
class DeployConfig:
    """How to deploy. Raises UsageError for a value out of its range."""

    limits: SelfTestLimits = field(default_factory=SelfTestLimits)
    keep: int = 3
    """Releases to keep on a board, the new one included."""
    wait_s: float = 60.0
    """How long to wait for another deployment on the same board."""
    retries: int = 3
    """How often to take up again what a cut connection interrupted."""
    allow_downgrade: bool = False
    """Whether a board that takes signed bundles only may go back to an earlier one."""
    backoff_s: float = 1.0
    """Before the first retry; doubled for each further one."""

    def __post_init__(self) -> None:
        check_range("--keep", self.keep, least=2)
        check_range("--retries", self.retries, least=0)
        check_range("--selftest-timeout", self.limits.timeout_s, least=0, most=MOST_WAIT_S)
        check_range("--wait", self.wait_s, least=0, most=MOST_WAIT_S)
        # Nothing stays within a limit of 0.
        check_range("--max-p99-us", self.limits.max_p99_us, above=0)
        check_range("--max-rss-mb", self.limits.max_rss_mb, above=0)


@dataclass(frozen=True)
class LocalBundle:
    """A bundle that was checked here."""

    path: Path
    sha256: str
    bytes: int
    record: BundleRecord
    signed: bool = False


def open_bundle(path: Path) -> LocalBundle:
    """Check a bundle to the last byte. Raises BundleError where it cannot be used."""
    with Archive(path) as archive:
        record, signed = read_record(archive), read_signature(archive) is not None
        return LocalBundle(path, hash_file(path), path.stat().st_size, record, signed)


def deploy_to(
    target: BoardAddress, bundle: LocalBundle, config: DeployConfig, on_step: OnStep, stop: Stop | None = None
) -> BoardResult:
    """Deploy to one board and say how it went; failures are results here, and raise nothing.

    `stop` ends it: before the switch nothing is changed then, and a switch that has begun comes to its end.
    """
    deployment = _Deployment(on_step, stop or Stop())
    started = time.monotonic()
    result = BoardResult(host=target.host.name, root=target.root, status=FAILED)
    for attempt in range(1, config.retries + 2):
        result = msgspec.structs.replace(result, attempts=attempt, fault=None)
        try:
            result = _attempt(target, bundle, config, deployment, result)
            break
        except Exception as error:  # noqa: BLE001 - one board must not cost the report of the others
            if deployment.stop.asked and isinstance(error, ConnectionLostError):
                result = msgspec.structs.replace(result, fault=as_fault(_stopped(target, deployment)))
                break
            result = msgspec.structs.replace(result, fault=as_fault(error))
            deployment.handed_over &= isinstance(error, ConnectionLostError)
            again = isinstance(error, (ConnectionLostError, DamagedTransferError))
            if not again or attempt > config.retries:
                break
        deployment.step("connecting again")
        if deployment.stop.wait(config.backoff_s * 2 ** (attempt - 1)):
            break
    return msgspec.structs.replace(result, steps=deployment.finish(), seconds=time.monotonic() - started)


def _attempt(
    target: BoardAddress, bundle: LocalBundle, config: DeployConfig, deployment: _Deployment, result: BoardResult
) -> BoardResult:
    deployment.step("connect")
    with open_board(target, deployment.stop) as board:
        deployment.step("preflight")
        sent = {"identity": bundle.record.identity(), "sha256": bundle.sha256, "token": deployment.token}
        wanted = {**sent, "bytes": bundle.bytes}
        ready = board.ask("prepare", Prepared, wanted)
        facts = ready.facts
        findings = check_board(facts, [])
        notable = [finding for finding in findings if finding.level is not Level.OK]
        result = msgspec.structs.replace(result, findings=notable)
        missing = 0 if ready.known else max(0, bundle.bytes - ready.offset)
        require_fit(target.host.name, facts, findings, bundle.record, missing)
        if missing:
            if ready.signed_only and not bundle.signed:
                raise BundleError(
                    f"{target.host.name} takes signed bundles only, and this one is not signed",
                    hint="Sign it with: edgemnist bundle --sign KEY",
                )
            deployment.step("transfer")
            try:
                board.send(bundle.path, f"{bundle.sha256}.{deployment.token}")
            except DeployError as error:
                # Another deployment of the same bundle may have come to its end, and tidied up.
                if isinstance(error, ConnectionLostError) or not board.ask("prepare", Prepared, wanted).known:
                    raise
        request = {
            **sent,
            "limits": asdict(config.limits),
            "keep": config.keep,
            "wait_s": config.wait_s,
            "allow_downgrade": config.allow_downgrade,
        }
        limit_s = MOST_WORK_S + config.wait_s + config.limits.timeout_s
        # Whoever only cut the line from here on would not know what became of it.
        with deployment.stop.by(board.interrupt):
            # A moment ago it was still asked to end by cutting the line, which may not have happened yet.
            if deployment.stop.asked:
                raise _stopped(target, deployment)
            deployment.handed_over = True
            answer = board.ask("apply", Applied, request, deployment.step, limit_s=limit_s)
    return msgspec.structs.replace(result, fault=None, **msgspec.structs.asdict(answer))


def _stopped(target: BoardAddress, deployment: _Deployment) -> StoppedError:
    """Return what a stop that cut the line leaves behind."""
    name = target.host.name
    if deployment.handed_over:
        return left_alone(name)
    return StoppedError(f"{name} was left before anything was changed there", hint="What served before serves.")


def left_alone(host: str) -> StoppedError:
    """Return what a line that was cut in the middle of the board's own work leaves behind."""
    return StoppedError(
        f"{host} was left in the middle of its work, and finishes it by itself",
        hint=f"See how it ended with: edgemnist releases --to {host}",
    )


def as_fault(error: Exception) -> Fault:
    """Return an error as a part of a result; one that is no user's is told with its kind."""
    if isinstance(error, EdgemnistError):
        return Fault(type=type(error).__name__, message=error.message, hint=error.hint, exit_code=error.exit_code)
    said = message(f"edgemnist failed on this board: {type(error).__name__}: {error}")
    return Fault(type=type(error).__name__, message=said, hint="Please report this.", exit_code=EXIT_BAD_INPUT)


class _Deployment:
    """Times the steps as they begin and passes them on, and knows how they are stopped."""

    def __init__(self, on_step: OnStep, stop: Stop) -> None:
        self.stop = stop
        self.token = secrets.token_hex(8)
        """Tells its transfer from that of another deployment of the same bundle."""
        self.handed_over = False
        """True once the board has been told to go to work, which it does without this side as well."""
        self._on_step = on_step
        self._steps: list[Step] = []
        self._name = ""
        self._since = 0.0

    def step(self, name: str) -> None:
        """Begin a step, which ends the one before."""
        self.finish()
        self._name, self._since = name, time.monotonic()
        self._on_step(name)

    def finish(self) -> list[Step]:
        """End the step that is going on, and return them all."""
        if self._name:
            self._steps.append(Step(name=self._name, seconds=time.monotonic() - self._since))
            self._name = ""
        return list(self._steps)
