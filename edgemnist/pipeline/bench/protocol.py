"""What a benchmark run and the processes that measure for it say to each other."""

from typing import Final, TypeAlias

import msgspec

from edgemnist.board.machine import Watch
from edgemnist.errors import UnknownNameError, UsageError, check_range
from edgemnist.ground.inputs import InputSpec

SINGLE_STREAM: Final = "single-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
DUTY_CYCLE: Final = "duty-cycle"
SCENARIOS: Final = (SINGLE_STREAM, OFFLINE, SERVER, DUTY_CYCLE)
RATED: Final = (SERVER, DUTY_CYCLE)
DEFAULT_P99_LIMIT_MS: Final = 1.0


class ScenarioConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to play. Raises UnknownNameError and UsageError for a name or a setting that does not exist."""

    name: str
    """One of `SCENARIOS`."""
    rate: float | None = None
    """server: queries a second to try, too; duty-cycle: calls a second, 1 for None."""
    p99_limit_ms: float | None = None
    """server: from the arrival of a query to its answer; None for `DEFAULT_P99_LIMIT_MS`."""

    def __post_init__(self) -> None:
        if self.name not in SCENARIOS:
            raise UnknownNameError("scenario", self.name, SCENARIOS)
        check_range("--rate", self.rate, above=0)
        check_range("--p99-limit", self.p99_limit_ms, above=0)
        if self.rate is not None and self.name not in RATED:
            raise UsageError(f"{self.name} has no --rate", hint=f"It is for {' and '.join(RATED)}.")
        if self.p99_limit_ms is not None and self.name != SERVER:
            raise UsageError(f"{self.name} has no --p99-limit", hint=f"It is for {SERVER}.")

    @property
    def limit_us(self) -> float | None:
        """Limit of the 99th percentile in microseconds; None where the scenario has none."""
        if self.name != SERVER:
            return None
        return 1e3 * (DEFAULT_P99_LIMIT_MS if self.p99_limit_ms is None else self.p99_limit_ms)

    @property
    def resolved_rate(self) -> float | None:
        """Calls a second, where the scenario has a rate."""
        return 1.0 if self.name == DUTY_CYCLE and self.rate is None else self.rate


class WorkerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one process is to measure; it is sent on the standard input."""

    runtime: str
    path: str
    """Of the model file."""
    spec: InputSpec | None = None
    """What the model reads; None if only its file says so."""
    numbers: bool | None = None
    """Whether it answers with numbers; None if only its file says so."""
    threads: int
    cpus: list[int]
    """What to pin to."""
    images: str
    """Path of an .npy file, [N, ...], N at least 1."""
    samples: int
    nanoseconds: int
    """Timed calls and their total, at the least, of a round or a scenario."""
    batch_size: int
    batch_nanoseconds: int = 150_000_000
    """Total of the timed batches, at the least."""
    most: int | None = None
    """Images that the model gets at once, as `try_file` says; None for as many as usual."""
    scenario: ScenarioConfig | None = None
    """None for the timing of single images and batches."""
    report: str
    """Path of the file to write the answer to: libraries write to the standard output as they like."""


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one process measured. Times are in nanoseconds."""

    answered_at: int
    """`time.perf_counter_ns()` when the first answer was there; that clock is the same in all processes."""
    watch: Watch
    """What went on during the timed calls of a single image, or the trials."""
    reference: list[float]
    """Medians of the fixed work, right before and right after them, see `bench.timing`."""


class WorkerReport(_Report, frozen=True, kw_only=True, tag="report"):
    """What was measured of single images and batches."""

    load: int
    """From the path to a classifier, in a process that has loaded the same before: imports are no part of it."""
    warmup: list[int]
    """Calls before the timed ones; the first of them is the very first call."""
    samples: list[int]
    """Timed calls of a single image."""
    batches: list[int]
    """Timed calls of a whole batch."""
    steps: dict[str, list[int]]
    """Timed calls of `prepare`, `invoke` and `finish` alone, and of `nothing`; empty where a call has no such steps."""
    peak_rss: int | None
    """Bytes, after the last single image; None where the system does not tell."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario measured at one setting."""

    setting: float
    """The batch size, the queries a second, or the calls a second; 0 for calls without a pause."""
    samples: list[int]
    """Nanoseconds of each call; in the server scenario from the arrival of the query on."""


class ScenarioReport(_Report, frozen=True, kw_only=True, tag="scenario"):
    """What was measured in a scenario."""

    trials: list[Trial]
    typical: float
    """What a call takes without a pause."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why one process could not measure, in words for the user."""

    message: str
    hint: str


Outcome: TypeAlias = WorkerReport | ScenarioReport | Failure
