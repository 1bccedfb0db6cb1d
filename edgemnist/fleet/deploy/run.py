"""The deployment to one board, resumed if the line is cut, and to a fleet; and what else boards are asked here.

docs/guides/fleet.md has a `fleet.toml`.
"""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from edgemnist.board.agent import SelfTestLimits
from edgemnist.board.agent.apply import DamagedTransferError, StoppedError
from edgemnist.board.agent.bundle import Archive, BundleRecord, read_record, read_signature
from edgemnist.board.agent.durable import hash_file
from edgemnist.board.agent.facts import BoardFacts, program_machine
from edgemnist.errors import BundleError, DeployError, UsageError, check_range
from edgemnist.fleet.deploy.answers import Applied, Examined, Prepared, Ran, clean_result
from edgemnist.fleet.deploy.target import ANSWER_S, BoardAddress, open_board, require_distinct
from edgemnist.fleet.deploy.transport import ConnectionLostError
from edgemnist.fleet.doctor import checks
from edgemnist.fleet.doctor.artifacts import arguments, read_checks
from edgemnist.ground.boards import EXPORTS, Stop, in_parallel, on_ctrl_c
from edgemnist.ground.results.boards import (
    FAILED,
    SKIPPED,
    BoardResult,
    Check,
    DeployResult,
    DoctorResult,
    Fault,
    Level,
    ReleasesResult,
    RollbackResult,
    Step,
    labels,
)


def require_fit(host: str, facts: BoardFacts, findings: Sequence[Check], record: BundleRecord, size: int) -> None:
    """Raise DeployError for a board that cannot take `size` bytes, BundleError for a bundle with other wheels."""
    for found in findings:
        if found.level is Level.FAILURE:
            raise DeployError(f"{host}: {found.name} {found.value}: {found.meaning}".rstrip("."), hint=found.fix)
    if facts.bits == checks.SMALL and set(checks.RUNTIME_PACKAGES.values()) & set(record.extras):
        raise DeployError(
            f"{checks.NO_SMALL_WHEELS} such as {host}'s, but the bundle needs them", hint=checks.small_board_fix()
        )
    machine = program_machine(facts.kernel_machine, facts.bits)
    record.check_fits(host, machine, ".".join(facts.python.split(".")[:2]))
    # The bundle as it comes, and once more unpacked.
    if facts.disk_free_bytes is not None and facts.disk_free_bytes < 2 * size:
        raise DeployError(
            f"{host} has {facts.disk_free_bytes / 1e6:,.1f} MB free, but the bundle needs {2 * size / 1e6:,.1f} MB",
            hint="Free some space there: sudo apt clean   "
            f"A first install takes {checks.INSTALL_BYTES / 1e6:.0f} MB more.",
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
    """Check a bundle to the last byte. Raises BundleError if it cannot be used."""
    with Archive(path) as archive:
        record, signed = read_record(archive), read_signature(archive) is not None
        return LocalBundle(path, hash_file(path), path.stat().st_size, record, signed)


def deploy_to(
    target: BoardAddress, bundle: LocalBundle, config: DeployConfig, on_step: OnStep, stop: Stop | None = None
) -> BoardResult:
    """Deploy to one board and say how it went; failures are results here, and raise nothing.

    `stop` ends it: before the switch, nothing is changed then; a switch that has begun is completed.
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
                result = msgspec.structs.replace(result, fault=Fault.of(_stopped(target, deployment)))
                break
            result = msgspec.structs.replace(result, fault=Fault.of(error))
            deployment.handed_over &= isinstance(error, ConnectionLostError)
            again = isinstance(error, (ConnectionLostError, DamagedTransferError))
            if not again or attempt > config.retries:
                break
        deployment.step("connecting again")
        if deployment.stop.wait(config.backoff_s * 2 ** (attempt - 1)):
            break
    return msgspec.structs.replace(result, steps=deployment.finish(), seconds=time.monotonic() - started)


def _attempt(
    target: BoardAddress, bundle: LocalBundle, config: DeployConfig, deployment: "_Deployment", result: BoardResult
) -> BoardResult:
    deployment.step("connect")
    with open_board(target, deployment.stop) as board:
        deployment.step("preflight")
        sent = {"identity": bundle.record.identity(), "sha256": bundle.sha256, "token": deployment.token}
        wanted = {**sent, "bytes": bundle.bytes}
        ready = board.ask("prepare", Prepared, wanted)
        facts = ready.facts
        findings = checks.check_board(facts, [])
        notable = [finding for finding in findings if finding.level is not Level.OK]
        result = msgspec.structs.replace(result, findings=notable)
        missing = 0 if ready.known else max(0, bundle.bytes - ready.offset)
        require_fit(target.host.name, facts, findings, bundle.record, missing)
        if missing:
            if ready.signed_only and not bundle.signed:
                raise BundleError(
                    f"{target.host.name} accepts only signed bundles, and this one is not signed",
                    hint="Sign it with: edgemnist bundle --sign KEY",
                )
            deployment.step("transfer")
            try:
                board.send(bundle.path, f"{bundle.sha256}.{deployment.token}")
            except DeployError as error:
                # Another deployment of the same bundle may have come to its end, and tidied up.
                if isinstance(error, ConnectionLostError) or not board.ask("prepare", Prepared, wanted).known:
                    raise
        request = {**sent, "limits": asdict(config.limits), "keep": config.keep, "wait_s": config.wait_s}
        limit_s = MOST_WORK_S + config.wait_s + config.limits.timeout_s
        # Whoever only cut the line from here on would not know what became of it.
        with deployment.stop.by(board.interrupt):
            # A moment ago it was still asked to end by cutting the line, which may not have happened yet.
            if deployment.stop.asked:
                raise _stopped(target, deployment)
            deployment.handed_over = True
            answer = board.ask("apply", Applied, request, deployment.step, limit_s=limit_s)
    return msgspec.structs.replace(result, fault=None, **msgspec.structs.asdict(answer))


def _stopped(target: BoardAddress, deployment: "_Deployment") -> StoppedError:
    """Return what a stop that cut the line leaves behind."""
    name = target.host.name
    if deployment.handed_over:
        return left_alone(target)
    return StoppedError(f"{name} was left unchanged", hint="The previous release is still serving.")


def left_alone(target: BoardAddress) -> StoppedError:
    """Return the error for a line that was cut in the middle of the board's own work."""
    return StoppedError(
        f"{target.name} was left in the middle of its work, and will finish it by itself",
        hint=f"See how it ended with: edgemnist release list{target.named('--to')}",
    )


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
        """End the step that is going on, and return all of them."""
        if self._name:
            self._steps.append(Step(name=self._name, seconds=time.monotonic() - self._since))
            self._name = ""
        return list(self._steps)


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
    for none of them. Raises UsageError if no board is named, or one twice; what goes wrong on one is in its result.
    """
    require_distinct(targets)
    tally = _Tally(fleet.max_failures)
    names = labels([(target.host.name, target.root) for target in targets])
    jobs = [_Job(target, name) for target, name in zip(targets, names, strict=True)]

    def deploy(job: _Job) -> BoardResult:
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
            results += in_parallel(fleet.parallel, deploy, wave)
    return DeployResult(
        bundle=str(bundle.path),
        identity=bundle.record.identity(),
        passed=all(result.fault is None for result in results),
        interrupted=tally.interrupted,
        boards=results,
    )


@dataclass
class _Job:
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
        if self.most is None or count <= self.most:
            return ""
        return f"{count} of the boards failed, more than the {self.most} allowed"


def _skipped(job: _Job, reason: str) -> BoardResult:
    host = job.target.host.name
    fault = Fault(type="Skipped", message=f"{host} was skipped: {reason}", hint="", exit_code=1)
    return BoardResult(host=host, root=job.target.root, status=SKIPPED, fault=fault)


class _Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    root: str | None = None


class _Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    board: list[_Board]
    root: str | None = None


def read_inventory(path: Path, *, root: str | None, ssh_config: Path | None) -> list[BoardAddress]:
    """Return the boards of an inventory, with `root` instead of its own. Raises UsageError for any other file."""
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
    """Return the boards that a command line names, or else this machine.

    Raises UsageError for what names none, or one twice.
    """
    if not hosts and inventory is None:
        return [BoardAddress.of(None, root=root)]
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
    return clean_result(target.name, checks.examine(target.name, answer.facts, answer.probes, artifacts, repair))


def releases_on(target: BoardAddress) -> ReleasesResult:
    """List the releases of a board, after the board has read every file of them."""
    with open_board(target) as board:
        return board.ask("releases", ReleasesResult, limit_s=ANSWER_S)


def rollback_on(
    target: BoardAddress, release: str | None, wait_s: float, on_step: OnStep = lambda _: None
) -> RollbackResult:
    """Let an older release serve again: the named one, or the one before the current. Raises what the board reports.

    Ctrl-C ends it if the switch has not begun; pressed again it leaves the board, which goes on by itself.
    """
    stop = Stop()

    def ask() -> None:
        on_step("stopping")
        # Over ssh, which takes a moment.
        threading.Thread(target=stop.ask, daemon=True).start()

    def work(_: int) -> RollbackResult:
        with open_board(target, stop) as board, stop.by(board.interrupt):
            request = {"release": release, "wait_s": wait_s}
            return board.ask("rollback", RollbackResult, request, on_step, limit_s=MOST_WORK_S + wait_s)

    with on_ctrl_c(ask, stop.insist):
        try:
            (answer,) = in_parallel(1, work, [0])
        except ConnectionLostError as error:
            if not stop.asked:
                raise
            raise left_alone(target) from error
    return msgspec.structs.replace(answer, interrupted=stop.asked)
