"""What is measured: a model, with a number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemnist.errors import ArtifactError, MissingDependencyError
from edgemnist.exports.directory import Exports
from edgemnist.exports.manifest import check_recorded
from edgemnist.exports.models import Model, require_runtime
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.bench import KERAS, subject_key

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
    exports: Exports, names: Sequence[str] | None, *, keras: bool | None, reporter: Reporter = SILENT
) -> list[Subject]:
    """Return what to measure: the models that were named, or all that can be run here, and Keras.

    Keras is measured where it is named or `keras` is true. Where it is None and nothing is named, Keras is measured if
    it can be, and a notice tells why if not.

    Raises what `Exports.select` raises, and ArtifactError or MissingDependencyError where Keras was asked for and
    cannot be measured.
    """
    wanted = [name for name in names or () if name != KERAS]
    models = exports.select(wanted, reporter) if wanted or not names else []
    if keras or (names and KERAS in names):
        models += _keras_models(exports)
    elif keras is None and not names:
        try:
            models += _keras_models(exports)
        except (ArtifactError, MissingDependencyError) as error:
            reporter.notice(f"Keras is not measured: {error.message}.")
    return [Subject(model=model) for model in models]


def _keras_models(exports: Exports) -> list[Model]:
    record = exports.manifest.model
    if record is None:
        raise ArtifactError(f"{exports.directory} has no Keras model", hint="Make one with: edgemnist train")
    for runtime in KERAS_RUNTIMES:
        require_runtime(runtime)
    check_recorded(exports.directory, record)
    path = exports.directory / record.file
    return [
        Model(artifact=KERAS, runtime=runtime, path=path, bytes=record.bytes, sha256=record.sha256)
        for runtime in KERAS_RUNTIMES
    ]
