"""What the commands that work with boards print: `bundle`, `deploy`, `rollback`, `releases`, `doctor`, `--on`."""

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from edgemnist.errors import EXIT_BAD_INPUT, EdgemnistError, explained
from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.bench import BenchResult, Latency
from edgemnist.ground.results.verdict import Verdict
from edgemnist.ground.results.verify import ArtifactParity


class BundleResult(Result, frozen=True, kw_only=True):
    """`edgemnist bundle`."""

    bundle: str
    """Path of the file."""
    bytes: int
    sha256: str
    """Hash of the bundle file."""
    identity: str
    """Hash of the contents, which `edgemnist release list` shows."""
    edgemnist: str
    """Version of the package in it."""
    artifacts: list[str]
    extras: list[str]
    machine: str
    """Processor that its wheels are for; `any` where the board fetches its own."""
    pythons: list[str]
    files: int
    signed: bool
    refused: list[str] = msgspec.field(default_factory=list)
    """Artifacts that did not pass their gate, for which a board will refuse the bundle."""


class Level(enum.Enum):
    """How serious a check is, the mildest first."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Check(Part, frozen=True, kw_only=True):
    """One line of what `edgemnist doctor` prints."""

    name: str
    level: Level
    value: str
    meaning: str = ""
    fix: str = msgspec.field(default="", name="mend")
    """The command that fixes it, or what to do."""

    @classmethod
    def ok(cls, name: str, value: str, meaning: str = "", fix: str = "") -> "Check":
        """Return a check of something that is as it should be."""
        return cls(name=name, level=Level.OK, value=value, meaning=meaning, fix=fix)

    @classmethod
    def unknown(cls, name: str) -> "Check":
        """Return a check of something that this machine does not report."""
        return cls.ok(name, "unknown", "This machine does not report it.")

    @classmethod
    def warning(cls, name: str, value: str, meaning: str, fix: str) -> "Check":
        """Return a check of something that edgemnist can live with."""
        return cls(name=name, level=Level.WARNING, value=value, meaning=meaning, fix=fix)

    @classmethod
    def failure(cls, name: str, value: str, meaning: str, fix: str) -> "Check":
        """Return a check of something with which edgemnist does not work."""
        return cls(name=name, level=Level.FAILURE, value=value, meaning=meaning, fix=fix)


class DoctorResult(Result, frozen=True, kw_only=True):
    """`edgemnist doctor`."""

    host: str
    """The name given with `--on`, or `this machine`."""
    healthy: bool
    """True if no check is a failure."""
    findings: list[Check]
    facts: dict[str, Any]


FAILED = "failed"
SKIPPED = "skipped"


def labels(places: Sequence[tuple[str, str]]) -> list[str]:
    """Return what tells boards apart for a reader, given host and root of each: the root where a host stands twice."""
    hosts = [host for host, _ in places]
    return [host if hosts.count(host) == 1 else f"{host} {root}" for host, root in places]


class Step(Part, frozen=True, kw_only=True):
    """One step of a deployment."""

    name: str
    seconds: float


class Fault(Part, frozen=True, kw_only=True):
    """Why a board does not have the new release."""

    type: str
    message: str
    hint: str
    exit_code: int

    @classmethod
    def of(cls, error: Exception) -> "Fault":
        """Return an error as a part of a result; one that is no user's is told with its kind."""
        error = (explained(error) if isinstance(error, OSError) else None) or error
        name = type(error).__name__
        if isinstance(error, EdgemnistError):
            return cls(type=name, message=error.message, hint=error.hint, exit_code=error.exit_code)
        said = " ".join(f"edgemnist failed on this board: {name}: {error}".split())
        printable = "".join(one if one.isprintable() else "\ufffd" for one in said)
        return cls(type=name, message=printable, hint="Please report this.", exit_code=EXIT_BAD_INPUT)


class SelfTestResult(Result, frozen=True, kw_only=True):
    """What the board found when it tested its new release."""

    verdict: Verdict = Verdict()
    """Unknown of a board with an earlier edgemnist."""
    passed: bool
    reasons: list[str]
    images: int
    artifacts: list[ArtifactParity]
    latencies: list[Latency]
    """Empty where neither latency nor memory is limited."""


class BoardResult(Part, frozen=True, kw_only=True):
    """How the deployment went on one board."""

    host: str
    root: str
    """Where edgemnist is on the board."""
    status: str
    """`deployed`, `unchanged` (it serves already), `failed` or `skipped`."""
    release: str | None = None
    """What was deployed, as `edgemnist release list` names it."""
    previous: str | None = None
    """What served before."""
    removed: list[str] = msgspec.field(default_factory=list)
    """Old releases that were removed."""
    attempts: int = 0
    """More than 1 if the connection was cut and the work resumed."""
    steps: list[Step] = msgspec.field(default_factory=list)
    seconds: float = 0.0
    findings: list[Check] = msgspec.field(default_factory=list)
    """What the preflight found wrong."""
    selftest: SelfTestResult | None = None
    """What the board found when it tested the release."""
    fault: Fault | None = None


class DeployResult(Result, frozen=True, kw_only=True):
    """`edgemnist deploy`."""

    bundle: str
    identity: str
    passed: bool
    """True where every board has the release."""
    interrupted: bool = False
    """True if the user stopped it; each board says how far it got."""
    boards: list[BoardResult]


class RollbackResult(Result, frozen=True, kw_only=True):
    """`edgemnist release rollback`."""

    host: str
    release: str
    previous: str | None
    interrupted: bool = False
    """True if the user stopped it after the switch had begun, which was then completed."""


class ReleaseRow(Part, frozen=True, kw_only=True):
    """One release on a board."""

    release: str
    current: bool
    """True for the one that serves."""
    problems: list[str]
    """What is wrong with its files; empty where all of them have the recorded hashes."""
    edgemnist: str | None
    artifacts: list[str]
    signed: bool
    deployed_at: str | None
    """Time by the board's clock, which may have been wrong; the number in the name gives the order."""


class ReleasesResult(Result, frozen=True, kw_only=True):
    """`edgemnist release list`."""

    host: str
    releases: list[ReleaseRow]
    """The oldest first."""
    pending: str | None
    """A release that was switched to but whose service has not been seen healthy: a deployment was cut off there."""
    busy: str | None
    """The process of a deployment that is running."""
    exposed: str | None = None
    """The directory of the releases, if others than its owner can write to it."""


class BoardRow(Part, frozen=True, kw_only=True):
    """A board that was asked to measure something."""

    host: str
    release: str | None = None
    throttled: list[str] = msgspec.field(default_factory=list)
    """What the firmware reported right after: `under-voltage`, `throttled` …; such figures are too slow."""
    fault: Fault | None = None
    """Why it did not measure."""


class BenchOnBoard(BoardRow, frozen=True, kw_only=True):
    """What a board measured, or why it did not."""

    result: BenchResult | None = None
    """None if there is a fault."""


class FleetBenchResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench --on HOST`."""

    boards: list[BenchOnBoard]
