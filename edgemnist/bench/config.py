"""What a benchmark run is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgemnist.bench.cpus import usable_cpus
from edgemnist.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Options of `edgemnist bench`. Raises UsageError for a value that makes no sense."""

    threads: int = 1
    """Threads a runtime may use for one call, and CPUs that its process is pinned to where the system can do that."""
    batch_size: int = 1000
    """Images a call, for the throughput."""
    samples: int = 1000
    """Timed calls of each artifact, at the least: 1,000 are what a 99th percentile stands on."""
    seconds: float = 1.0
    """Timed seconds of each artifact, at the least."""
    rounds: int = 3
    """Rounds over all artifacts, with a new process for each measurement; they share the samples and seconds."""
    keras: bool = True
    """Measure Keras too, where TensorFlow and the model are there and no artifacts were named."""
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
        if self.threads > (cpus := len(usable_cpus())):
            raise UsageError(
                f"--threads {self.threads} is more than this process may use", hint=f"There are {cpus} CPUs for it."
            )
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise UsageError(f"--seconds {self.seconds:g} makes no sense", hint="It is 0 or more.")

    @property
    def samples_a_round(self) -> int:
        """Timed calls of each artifact in one round, at the least."""
        return math.ceil(self.samples / self.rounds)

    @property
    def nanoseconds_a_round(self) -> int:
        """Timed nanoseconds of each artifact in one round, at the least."""
        return math.ceil(self.seconds * 1e9 / self.rounds)
