"""One board, from the first question to the last answer: preflight, transfer, and what the board does by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from edgemnist.bundle.archive import Archive
from edgemnist.bundle.record import BundleRecord, read_record
from edgemnist.deploy.board.apply import DamagedTransferError
from edgemnist.deploy.board.request import SelfTestLimits
from edgemnist.deploy.preflight import require_fit
from edgemnist.deploy.results import FAILED, BoardResult, Fault, Step
from edgemnist.deploy.target import Target, open_board
from edgemnist.deploy.transport import ConnectionLostError
from edgemnist.doctor.checks import judge
from edgemnist.doctor.facts import Facts
from edgemnist.doctor.results import Level
from edgemnist.errors import EdgemnistError, UsageError
from edgemnist.selftest import SelfTestResult

OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class DeployConfig:
    """How to deploy. Raises UsageError for a value that makes no sense."""

    limits: SelfTestLimits = field(default_factory=SelfTestLimits)
    keep: int = 3
    """Releases to keep on a board, the new one included."""
    wait_s: float = 60.0
    """How long to wait for another deployment on the same board."""
    retries: int = 3
    """How often to take up again what a cut connection interrupted."""
    backoff_s: float = 1.0
    """Before the first retry; doubled for each further one."""

    def __post_init__(self) -> None:
        for option, value, least in (("--keep", self.keep, 2), ("--retries", self.retries, 0)):
            if value < least:
                raise UsageError(f"{option} {value} makes no sense", hint=f"It is at least {least}.")
        for option, seconds in (("--selftest-timeout", self.limits.timeout_s), ("--wait", self.wait_s)):
            if not 0 <= seconds < float("inf"):
                raise UsageError(f"{option} {seconds:g} makes no sense", hint="It is 0 or more seconds.")
        for option, limit in (("--max-p99-us", self.limits.max_p99_us), ("--max-rss-mb", self.limits.max_rss_mb)):
            # Nothing exceeds what is not a number, and nothing stays within a limit of 0.
            if limit is not None and not 0 < limit < float("inf"):
                raise UsageError(f"{option} {limit:g} makes no sense", hint="It is more than 0.")


@dataclass(frozen=True)
class LocalBundle:
    """A bundle that was checked here."""

    path: Path
    sha256: str
    bytes: int
    record: BundleRecord


def open_bundle(path: Path) -> LocalBundle:
    """Check a bundle to the last byte. Raises BundleError where it cannot be used."""
    with Archive(path) as archive:
        return LocalBundle(path, archive.sha256, path.stat().st_size, read_record(archive))


def deploy_to(target: Target, bundle: LocalBundle, config: DeployConfig, on_step: OnStep) -> BoardResult:
    """Deploy to one board and say how it went; failures are results here, and raise nothing."""
    clock = _Clock(on_step)
    started = time.monotonic()
    result = BoardResult(host=target.host.name, status=FAILED)
    for attempt in range(1, config.retries + 2):
        result = msgspec.structs.replace(result, attempts=attempt, fault=None)
        try:
            result = _attempt(target, bundle, config, clock, result)
            break
        except EdgemnistError as error:
            result = msgspec.structs.replace(result, fault=as_fault(error))
            again = isinstance(error, (ConnectionLostError, DamagedTransferError))
            if not again or attempt > config.retries:
                break
        clock.step("connecting again")
        time.sleep(config.backoff_s * 2 ** (attempt - 1))
    return msgspec.structs.replace(result, steps=clock.finish(), seconds=time.monotonic() - started)


def _attempt(
    target: Target, bundle: LocalBundle, config: DeployConfig, clock: _Clock, result: BoardResult
) -> BoardResult:
    identity = bundle.record.identity()
    clock.step("connect")
    with open_board(target) as board:
        clock.step("preflight")
        wanted = {"identity": identity, "sha256": bundle.sha256, "bytes": bundle.bytes}
        ready = board.ask("prepare", wanted)
        facts = msgspec.convert(ready["facts"], Facts)
        findings = judge(facts, [])
        notable = [finding for finding in findings if finding.level is not Level.OK]
        result = msgspec.structs.replace(result, findings=notable)
        missing = 0 if ready["known"] else bundle.bytes - ready["offset"]
        require_fit(target.host.name, facts, findings, bundle.record, missing)
        if missing:
            clock.step("transfer")
            board.send(bundle.path, f"{ready['incoming']}/{bundle.sha256}")
        request = {
            "sha256": bundle.sha256,
            "identity": identity,
            "limits": asdict(config.limits),
            "keep": config.keep,
            "wait_s": config.wait_s,
        }
        answer = board.ask("apply", request, clock.step)
    return msgspec.structs.replace(
        result,
        status=answer["status"],
        release=answer["release"],
        previous=answer["previous"],
        removed=answer["removed"],
        selftest=msgspec.convert(answer["selftest"], SelfTestResult),
        fault=None,
    )


def as_fault(error: EdgemnistError) -> Fault:
    """Return an error as a part of a result."""
    return Fault(type=type(error).__name__, message=error.message, hint=error.hint, exit_code=error.exit_code)


class _Clock:
    """Times the steps as they begin, and passes them on."""

    def __init__(self, on_step: OnStep) -> None:
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
