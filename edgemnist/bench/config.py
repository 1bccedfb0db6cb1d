"""Starting as after a boot: with the files of the runtime and the model out of the page cache."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgemnist.errors import UsageError, check_range
from edgemnist.machine.cpus import usable_cpus
from edgemnist.runtimes import RUNTIMES


def can_evict() -> bool:
    """Return whether this system lets a program take files out of the page cache."""
    return hasattr(os, "posix_fadvise")


def evict(paths: Iterable[Path]) -> None:
    """Take files out of the page cache, as far as no process has them mapped; what cannot be read stays."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            # Pages that have not been written yet would stay.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def files_of(model: Path, runtime: str) -> Iterator[Path]:
    """Yield the model file and every file of the packages that its runtime stands on."""
    yield model
    for package in RUNTIMES[runtime].requires:
        spec = importlib.util.find_spec(package.module)
        for directory in (spec.submodule_search_locations or []) if spec else []:
            yield from (path for path in Path(directory).rglob("*") if path.is_file())


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Options of `edgemnist bench`. Raises UsageError for a value out of its range."""

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
            ("--slow-down", self.slowdown),
        ):
            check_range(option, value, least=1)
        for option, value in (("--repeats", self.repeats), ("--seconds", self.seconds)):
            check_range(option, value, least=0)
        if self.cold_cache and not can_evict():
            raise UsageError("--cold-cache needs a system that lets a program empty its cache, such as Linux")
        if self.threads_to is not None and self.threads_to < self.threads:
            raise UsageError(f"--threads {self.threads}-{self.threads_to} goes down", hint="Write it upwards: 1-4.")
        if (most := self.thread_counts[-1]) > (cpus := len(usable_cpus())):
            raise UsageError(
                f"--threads {most} is more than this process may use",
                hint=f"It may use {cpus} CPU{'s' if cpus > 1 else ''}.",
            )

    @staticmethod
    def parse_threads(text: str) -> tuple[int, int | None]:
        """Return `threads` and `threads_to` of a text such as `1` or `1-4`. Raises UsageError for any other."""
        first, dash, last = text.partition("-")
        try:
            return int(first), int(last) if dash else None
        except ValueError:
            raise UsageError(f"--threads must be a number, or a range such as 1-4 (got {text})") from None

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
