"""How models are measured: the options."""

import math
from dataclasses import dataclass

from edgemnist.board.machine import usable_cpus
from edgemnist.errors import UsageError, check_range
from edgemnist.ground.formatting import count
from edgemnist.ground.results.bench import subject_key
from edgemnist.model.exports.models import Model


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Options of `edgemnist bench`. Raises UsageError for a value out of its range."""

    threads: int = 1
    """Threads a runtime may use for one call, and CPUs that its process is pinned to where the system can do that."""
    batch_size: int = 1000
    """Images a call, for the throughput."""
    samples: int = 1000
    """Timed calls of each artifact, at the least: 1,000 are what a 99th percentile stands on."""
    seconds: float = 1.0
    """Timed seconds of each artifact, at the least."""
    rounds: int = 3
    """Rounds over all artifacts, with a new process for each measurement; they share the samples and seconds. Keras
    takes part in three, at the most, and in one of fewer."""
    keras: bool | None = None
    """Measure Keras too; None: where no artifacts were named, and TensorFlow and the model are there."""
    repeats: int = 1
    """How often a round that something disturbed is measured again, at the most, before it counts as tainted."""
    keep_samples: bool = False
    """Put the raw samples into the result."""

    def __post_init__(self) -> None:
        for option, value, least in (
            ("--threads", self.threads, 1),
            ("--batch-size", self.batch_size, 1),
            ("--samples", self.samples, 1),
            ("--rounds", self.rounds, 1),
            ("--repeats", self.repeats, 0),
            ("--seconds", self.seconds, 0),
        ):
            check_range(option, value, least=least)
        if self.threads > (cpus := len(usable_cpus())):
            raise UsageError(
                f"--threads {self.threads} is more than this process may use", hint=f"It may use {count(cpus, 'CPU')}."
            )

    @property
    def samples_a_round(self) -> int:
        """Timed calls of each artifact in one round, at the least."""
        return math.ceil(self.samples / self.rounds)

    @property
    def nanoseconds_a_round(self) -> int:
        """Timed nanoseconds of each artifact in one round, at the least."""
        return math.ceil(self.seconds * 1e9 / self.rounds)

    def key(self, model: Model) -> str:
        """Return what tells the figures of a model from all others, see `subject_key`."""
        return subject_key(model.name, model.runtime, self.threads)
