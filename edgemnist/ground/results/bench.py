"""What `edgemnist bench` prints and saves."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part, Result

KERAS = "keras"
"""Name of the Keras model, which is not an artifact but the thing to beat."""


class Ratio(Part, frozen=True, kw_only=True):
    """How many times as long one model takes as another, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def inverse(self) -> "Ratio":
        """The same the other way round: how many times as fast it is."""
        return Ratio(ratio=1 / self.ratio, low=1 / self.high, high=1 / self.low)


class Histogram(Part, frozen=True, kw_only=True):
    """How the latencies of the timed calls are distributed, in bins whose edges grow by 2 %."""

    edges_us: list[float]
    """Lower edge of each bin that is not empty."""
    counts: list[int]


class Latency(Part, frozen=True, kw_only=True):
    """What one model costs in its runtime."""

    name: str
    runtime: str
    threads: int
    """How many a call could use."""
    batch_size: int
    """For the throughput only; the latencies are those of a single input."""
    samples: int
    """Timed calls behind the percentiles, over all rounds."""
    p50_us: float
    p90_us: float | None
    p99_us: float | None
    """None, like the 90th, if there are fewer than ten samples beyond it: too few to tell."""
    throughput_per_s: float | None
    """Inputs a second at `batch_size`; None where such a batch would have taken more than its share of the time."""
    load_ms: float
    """From the path to a classifier that is ready to be called, once its runtime has been imported."""
    first_call_us: float
    """The very first call of a process, which the percentiles leave out."""
    cold_start_ms: float | None
    """From process start to the first answer, interpreter and imports included, but not those of a command line; None
    where there was no time to start it alone."""
    peak_rss_mb: float | None
    """Peak memory of a process that loads it and answers single inputs; 1 MB is 10^6 bytes. None on Windows."""
    bytes: int
    """Size of the artifact file."""
    ratio: Ratio | None = None
    """Over the fastest model of this document: how many times as long a call takes."""
    speedup: Ratio | None = None
    """How many times as fast as Keras with as many threads; None where Keras was not measured."""
    histogram: Histogram | None = None
    run: int
    """Nanoseconds since 1970 when the run began: rounds of one run were measured in turns."""
    blocks_us: list[float]
    """A call's typical time in each round."""
    fixed_us: list[float]
    """What the same fixed work took beside each, which shows how fast the machine was."""
    starts: list[int]
    """The rounds in which a fresh process took over; the first is 0."""
    waited: float
    """Share of the time that other processes had the CPU."""
    disturbed: bool = False
    """Whether the machine was disturbed: the times, not the ratios, are then too long."""
    sha256: str
    """Of the file that was measured: the figures hold for this file only."""

    @property
    def key(self) -> str:
        """Name, and the number of threads if it is not 1."""
        return self.name if self.threads == 1 else f"{self.name}@{self.threads}"


class Decision(Part, frozen=True, kw_only=True):
    """What to ship to this machine."""

    name: str | None
    """The model; None if there is none."""
    sentence: str
    """What to ship, and how sure that is; or why nothing can be shipped."""
    excluded: str = ""
    """Which models cannot be shipped, and why, in one sentence; empty if all can."""


class Change(Part, frozen=True, kw_only=True):
    """One model against the same in an earlier run."""

    name: str
    runtime: str
    p50_us: float | None
    baseline_p50_us: float | None
    """None for the run that lacks it."""
    ratio: Ratio | None
    """This run over the earlier one, each in units of the fixed work beside it; None where one of them lacks it."""
    passed: bool


class BaselineComparison(Part, frozen=True, kw_only=True):
    """A run against an earlier one."""

    file: str
    """Empty where none was named, although a gate file has a `max_slowdown`: then nothing has passed."""
    max_slowdown: float | None
    """Largest ratio that passes, if a person gave one; else what is slower by more than the interval does not pass."""
    passed: bool
    changes: list[Change]


class BenchResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench`, and the contents of `bench.json`."""

    host: dict[str, Any]
    """Facts about the machine: CPU, flags, governor, versions."""
    results: list[Latency]
    rounds: int
    """Over all models; each has one block of calls in a round."""
    disturbed: list[str] = msgspec.field(default_factory=list)
    """What disturbed the machine, in words."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """What else speaks against the figures, such as a governor that saves power."""
    input: InputSpec | UnsetType = UNSET
    """What models read, where that is not the default task's input."""
    decision: Decision | None = None
    """What to ship of the export directory; None for model files."""
    baseline: BaselineComparison | None = None
    """Only with `--baseline`, or a limit in a gate file."""
