"""What a benchmark run is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgemnist.bench.coldcache import can_evict
from edgemnist.bench.cpus import usable_cpus
from edgemnist.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Options of `edgemnist bench`. Raises UsageError for a value that makes no sense."""

    threads: int = 1
    """Threads a runtime may use for one call, and CPUs that its process is pinned to where the system can do that."""
    threads_to: int | None = None
    """Measure with `threads` and every number up to this one, too."""
    batch_size: int = 1000
    """Images a call, for the throughput."""
    samples: int = 1000
    """Timed calls of each artifact, at the least: 1,000 are what a 99th percentile stands on."""
    seconds: float = 1.0
    """Timed seconds of each artifact, at the least."""
    rounds: int = 3
    """Rounds over all artifacts, with a new process for each measurement; they share the samples and seconds. Keras and
    the null runtime take part in three, at the most."""
    keras: bool | None = None
    """Measure Keras too; None: where no artifacts were named, and TensorFlow and the model are there."""
    repeats: int = 1
    """How often a round that something disturbed is measured again, at the most, before it counts as tainted."""
    slowdown: float = 1.0
    """Make every call take at least this many times the usual: to see that `--baseline` notices."""
    cold_cache: bool = False
    """Measure one more cold start of each artifact, with the files of its runtime and the model out of the cache."""
    keep_samples: bool = False
    """Put the raw samples into the result."""

    def __post_init__(self) -> None:
        for option, value in (
            ("--threads", self.threads),
            ("--batch-size", self.batch_size),
            ("--samples", self.samples),
            ("--rounds", self.rounds),
        ):
            if value < 1:
                raise UsageError(f"{option} {value} makes no sense", hint="It is at least 1.")
        if self.repeats < 0:
            raise UsageError(f"--repeats {self.repeats} makes no sense", hint="It is 0 or more.")
        if not (math.isfinite(self.slowdown) and self.slowdown >= 1):
            raise UsageError(f"--slow-down {self.slowdown:g} makes no sense", hint="It is 1 or more.")
        if self.cold_cache and not can_evict():
            raise UsageError("--cold-cache needs a system that lets a program empty its cache, such as Linux")
        if self.threads_to is not None and self.threads_to < self.threads:
            raise UsageError(f"--threads {self.threads}-{self.threads_to} makes no sense", hint="It goes up: 1-4.")
        if (most := self.thread_counts[-1]) > (cpus := len(usable_cpus())):
            raise UsageError(
                f"--threads {most} is more than this process may use", hint=f"There are {cpus} CPUs for it."
            )
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise UsageError(f"--seconds {self.seconds:g} makes no sense", hint="It is 0 or more.")

    @staticmethod
    def parse_threads(text: str) -> tuple[int, int | None]:
        """Return `threads` and `threads_to` of a text such as `1` or `1-4`. Raises UsageError for any other."""
        first, dash, last = text.partition("-")
        try:
            return int(first), int(last) if dash else None
        except ValueError:
            raise UsageError(
                f"--threads {text} makes no sense", hint="It is a number, or a range such as 1-4."
            ) from None

    @property
    def thread_counts(self) -> range:
        """The numbers of threads to measure with."""
        return range(self.threads, (self.threads_to or self.threads) + 1)

    @property
    def samples_a_round(self) -> int:
        """Timed calls of each artifact in one round, at the least."""
        return math.ceil(self.samples / self.rounds)

    @property
    def nanoseconds_a_round(self) -> int:
        """Timed nanoseconds of each artifact in one round, at the least."""
        return math.ceil(self.seconds * 1e9 / self.rounds)
