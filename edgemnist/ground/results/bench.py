"""What `edgemnist bench` prints and saves."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.verdict import Verdict

KERAS = "keras"
"""Name of the Keras model, which is not an artifact but the thing to beat."""

MAX_TAINTED = 0.5
"""Share of the rounds that may be tainted: the median over the rounds rests on the others."""


def subject_key(name: str, runtime: str, threads: int) -> str:
    """Return the name under which raw samples are kept.

    It is the artifact's; for Keras the runtime's, because that is measured in two ways. `@N` follows where a call may
    use N threads and N is not 1.
    """
    key = runtime if name == KERAS else name
    return key if threads == 1 else f"{key}@{threads}"


class _Subject(Part, frozen=True, kw_only=True):
    """A model, and how many threads a call could use."""

    name: str
    runtime: str
    threads: int

    @property
    def key(self) -> str:
        """What tells it from all others, see `subject_key`."""
        return subject_key(self.name, self.runtime, self.threads)


class Block(Part, frozen=True, kw_only=True):
    """One round of one artifact: the timed calls of one process."""

    samples: int
    p50_us: float
    reference_us: float | None = None
    """How long the same fixed work took beside the calls, which shows how fast the machine was; see
    `edgemnist.pipeline.bench.worker`."""
    mhz: float | None = None
    """Clock of the CPU it ran on, after the calls; None where the system does not tell."""
    celsius: float | None = None
    """Temperature of the hottest zone, after the calls."""
    attempts: int = 1
    """How often it was measured; more than once where something disturbed it."""
    taints: list[str] = msgspec.field(default_factory=list)
    """What disturbed the last attempt, in words; empty for a clean one."""


class Histogram(Part, frozen=True, kw_only=True):
    """How the latencies of the timed calls are distributed, in bins whose edges grow by 2 %."""

    edges_us: list[float]
    """Lower edge of each bin that is not empty."""
    counts: list[int]


class Latency(_Subject, frozen=True, kw_only=True):
    """What one artifact costs in its runtime."""

    batch_size: int
    """For the throughput only; the latencies are those of a single image."""
    samples: int
    """Timed calls behind the percentiles, over all rounds."""
    p50_us: float
    p90_us: float | None
    p99_us: float | None
    """None, like every percentile, if there are fewer than ten samples beyond it: too few to tell."""
    p999_us: float | None = None
    """The 99.9th percentile, which needs 10,000 samples."""
    mean_us: float
    min_us: float
    throughput_per_s: float
    """Images a second at `batch_size`."""
    load_ms: float
    """From the path to a classifier that is ready to be called, once its runtime has been imported."""
    cold_start_ms: float
    """From process start to the first answer, interpreter and imports included, but not those of a command line."""
    peak_rss_mb: float | None
    """Peak memory of a process that loads it and answers single images; 1 MB is 10^6 bytes. None on Windows."""
    bytes: int
    """Size of the artifact file."""
    speedup: float | None = None
    """p50 of Keras `model(x)` divided by this p50; None where Keras was not measured, or where more than half of the
    `blocks` of one of the two have `taints`."""
    cv: float | None = None
    """Coefficient of variation of the timed calls: standard deviation over mean."""
    first_call_us: float | None = None
    """The very first call of a process, which the percentiles leave out."""
    cold_cache_start_ms: float | None = None
    """Cold start from the disk, which only an earlier edgemnist measured."""
    steps: dict[str, float] | None = None
    """Where the time of a call goes, which only an earlier edgemnist measured."""
    histogram: Histogram | None = None
    blocks: list[Block] = msgspec.field(default_factory=list)
    """The rounds, in their order."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Warnings about the quality of these figures, in words."""
    sha256: str

    @property
    def tainted(self) -> bool:
        """Whether too many rounds were disturbed: these figures carry a mark, and no ratio is formed with them."""
        return sum(bool(block.taints) for block in self.blocks) > MAX_TAINTED * len(self.blocks)

    def times_as_fast_as(self, other: "Latency") -> float | None:
        """Return the p50 of another over this one; None where one of them is tainted."""
        return None if self.tainted or other.tainted else other.p50_us / self.p50_us


def with_speedups(results: list[Latency]) -> list[Latency]:
    """Return figures with their speed-up over Keras with as many threads, as far as one can be formed.

    A figure that has one keeps it: Keras may have been measured in another run.
    """
    keras = {one.threads: one for one in results if one.runtime == KERAS}
    found = []
    for one in results:
        baseline = keras.get(one.threads)
        formed = one.speedup if baseline is None else one.times_as_fast_as(baseline)
        kept = None if formed is None or one.tainted else one.speedup or formed
        found.append(msgspec.structs.replace(one, speedup=kept))
    return found


class Ratio(Part, frozen=True, kw_only=True):
    """A ratio of medians with its 95 % bootstrap interval; above 1 is slower."""

    ratio: float
    low: float
    high: float
    verdict: str
    """`slower`, `faster` or `same`; `unclear` where the ratio is beyond the limit, but its interval contains 1."""


class Change(Part, frozen=True, kw_only=True):
    """One artifact against the same in an earlier run."""

    name: str
    runtime: str
    p50_us: float
    baseline_p50_us: float
    ratio: Ratio | None
    """This run over the earlier one, each in units of the fixed work beside it; of the microseconds themselves where
    `machine` is None. None where `tainted`."""
    tainted: bool = False
    """Whether more than half of the rounds of one of the runs were disturbed: then nothing is known."""
    machine: float | None = None
    """How much longer the fixed work took in this run than in the earlier one; None where one of them lacks it."""
    noise: float
    """Share by which the p50 of the rounds of one run differ, see
    `edgemnist.pipeline.bench.quality`; the larger of both runs."""
    verdict: Verdict = Verdict()
    """`unknown` where the ratio is `unclear` or None, or the earlier run was on another processor."""


class BaselineComparison(Part, frozen=True, kw_only=True):
    """A run against an earlier one."""

    file: str
    """Empty where none was named, although a gate file has a `max_slowdown`: then nothing is known."""
    max_slowdown: float
    """Ratio up to which an artifact counts as unchanged."""
    verdict: Verdict = Verdict()
    """On all artifacts that either of the runs measured."""
    passed: bool
    """Whether the verdict is `passed`: every artifact is known not to be slower than that."""
    changes: list[Change]
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons why the two runs are not comparable, such as another host."""


class BenchResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench`, and the contents of `bench.json`."""

    host: dict[str, Any]
    """Facts about the machine: CPU, flags, governor, versions."""
    results: list[Latency]
    harness_us: float | None = None
    """What the measurement itself adds to each latency, which only an earlier edgemnist measured."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Warnings about all of the figures, such as a governor that saves power."""
    input: InputSpec | UnsetType = UNSET
    """What models read, where that is not the default task's input."""
    baseline: BaselineComparison | None = None
    """Only with `--baseline`, or a limit in a gate file."""
    samples_us: dict[str, list[list[float]]] | None = None
    """Raw samples by artifact and round, in microseconds; only in a file written by `--save`."""
    warmup_us: dict[str, list[list[float]]] | None = None
    """The warm-up calls before them, kept apart."""
