"""What is measured, and how: a model with a number of threads, the options, and caches that are emptied before."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemnist.errors import ArtifactError, MissingDependencyError, UsageError, check_range
from edgemnist.exports import Exports
from edgemnist.exports.manifest import check_recorded
from edgemnist.exports.models import Model, require_runtime
from edgemnist.formatting import count
from edgemnist.machine import usable_cpus
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.bench import KERAS, subject_key
from edgemnist.runtimes import RUNTIMES


def can_evict() -> bool:
    """Return whether this system lets a program take files out of the page cache."""
    return hasattr(os, "posix_fadvise")


def evict(paths: Iterable[Path]) -> None:
    """Take files out of the page cache, as far as no process has them mapped; what cannot be read stays."""
    for path in paths:
        with contextlib.suppress(OSError), path.open("rb") as file:
            # Pages that have not been written yet would stay.
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def files_of(model: Path, runtime: str) -> Iterator[Path]:
    """Yield the model file and every file of the packages that its runtime depends on."""
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
    the null runtime take part in three, at the most, and in one of fewer."""
    keras: bool | None = None
    """Measure Keras too; None: where no artifacts were named, and TensorFlow and the model are there."""
    keras_predict: bool = True
    """Where Keras is measured, measure `model.predict` beside `model(x)`; 1,000 calls of it take half a minute."""
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
            raise UsageError(
                f"--threads {self.threads}-{self.threads_to} runs backwards",
                hint="Write the smaller number first: 1-4.",
            )
        if (most := self.thread_counts[-1]) > (cpus := len(usable_cpus())):
            raise UsageError(
                f"--threads {most} is more than this process may use", hint=f"It may use {count(cpus, 'CPU')}."
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


HARNESS = "harness"
KERAS_RUNTIMES = ("keras", "keras-predict")
"""`model(x)`, which speed-ups refer to, and `model.predict`, which people write."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and how many threads a call may use."""

    model: Model
    threads: int = 1

    @property
    def name(self) -> str:
        """Of the model; Keras is called `keras` in either runtime."""
        return self.model.artifact if self.model.artifact in {KERAS, HARNESS} else self.model.name

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self.model.runtime

    @property
    def key(self) -> str:
        """What tells it from all others, see `subject_key`."""
        return subject_key(self.name, self.runtime, self.threads)


NULL = Subject(model=Model(artifact=HARNESS, runtime="null", path=Path(), bytes=0, sha256=""))
"""Nothing, measured like everything: what the measuring itself costs."""


def select_subjects(
    exports: Exports,
    names: Sequence[str] | None,
    *,
    keras: bool | None,
    keras_predict: bool = True,
    reporter: Reporter = SILENT,
) -> list[Subject]:
    """Return what to measure: the models that were named, or all that can be run here, and Keras.

    Keras is measured where it is named or `keras` is true. Where it is None and nothing is named, Keras is measured if
    it can be, and a notice tells why if not.

    Raises what `Exports.select` raises, and ArtifactError or MissingDependencyError where Keras was asked for and
    cannot be measured.
    """
    wanted = [name for name in names or () if name != KERAS]
    models = exports.select(wanted, reporter) if wanted or not names else []
    runtimes = KERAS_RUNTIMES if keras_predict else KERAS_RUNTIMES[:1]
    asked = keras or KERAS in (names or ())
    if asked or (keras is None and not names):
        try:
            models += _keras_models(exports, runtimes)
        except (ArtifactError, MissingDependencyError) as error:
            if asked:
                raise
            reporter.notice(f"Keras is not measured: {error.message}.")
    return [Subject(model=model) for model in models]


def _keras_models(exports: Exports, runtimes: Sequence[str]) -> list[Model]:
    record = exports.manifest.model
    if record is None:
        raise ArtifactError(
            f"{exports.directory} has no Keras model", hint=f"Make one with: {exports.command('train')}"
        )
    for runtime in runtimes:
        require_runtime(runtime)
    check_recorded(exports.directory, record)
    path = exports.directory / record.file
    return [
        Model(artifact=KERAS, runtime=runtime, path=path, bytes=record.bytes, sha256=record.sha256)
        for runtime in runtimes
    ]
