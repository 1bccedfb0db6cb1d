"""What is measured: a model file in a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemnist.errors import ArtifactError, MissingDependencyError
from edgemnist.manifest import FileRecord, Manifest, read_recorded, sha256
from edgemnist.progress import SILENT, Reporter
from edgemnist.runtimes import runtime_for
from edgemnist.selection import require_runtime, select_artifacts

KERAS = "keras"
"""Name of the Keras model, which is no artifact: it is the thing to beat."""
KERAS_RUNTIMES = ("keras", "keras-predict")
"""`model(x)`, which speed-ups refer to, and `model.predict`, which people write."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model file in a runtime."""

    name: str
    """Of the artifact, or `keras`."""
    runtime: str
    path: Path
    bytes: int
    sha256: str
    threads: int = 1
    """That the runtime may use for one call."""

    @property
    def key(self) -> str:
        """What tells it from all others, see `subject_key`."""
        return subject_key(self.name, self.runtime, self.threads)


def subject_key(name: str, runtime: str, threads: int) -> str:
    """Return the name under which raw samples are kept.

    It is the artifact's; for Keras the runtime's, because that is measured in two ways. `@N` follows where a call may
    use N threads and N is not 1.
    """
    key = runtime if name == KERAS else name
    return key if threads == 1 else f"{key}@{threads}"


NULL = Subject(name="harness", runtime="null", path=Path(), bytes=0, sha256="")
"""Nothing, measured like everything: what the measuring itself costs."""


def select_subjects(
    exports: Path, manifest: Manifest, names: Sequence[str] | None, *, keras: bool | None, reporter: Reporter = SILENT
) -> list[Subject]:
    """Return what to measure: the artifacts that were named, or all that can be run here, and Keras.

    Keras is measured where it is named or `keras` is true. Where it is None and nothing is named, Keras is measured if
    it can be, and a notice tells why if not. The files' hashes have been checked.

    Raises what `select_artifacts` and `read_recorded` raise, and ArtifactError or MissingDependencyError where Keras
    was asked for and cannot be measured.
    """
    wanted = [name for name in names or () if name != KERAS]
    artifacts = select_artifacts(exports, manifest, wanted, reporter) if wanted or not names else []
    subjects = [_subject(exports, artifact.name, artifact) for artifact in artifacts]
    if keras or (names and KERAS in names):
        return subjects + _keras_subjects(exports, manifest)
    if keras is None and not names:
        try:
            return subjects + _keras_subjects(exports, manifest)
        except (ArtifactError, MissingDependencyError) as error:
            reporter.notice(f"Keras is not measured: {error.message}.")
    return subjects


def find_subject(exports: Path, manifest: Manifest, name: str) -> Subject:
    """Return the recorded artifact of that name, or else the model file at that path, wherever it comes from.

    Raises UnknownNameError where there is neither, ArtifactError for a file of an unknown kind or one that is not as
    recorded, and MissingDependencyError where its runtime is not installed.
    """
    path = Path(name)
    if any(artifact.name == name for artifact in manifest.artifacts) or not path.is_file():
        artifact = manifest.artifact(name)
        require_runtime(runtime_for(Path(artifact.file)))
        return _subject(exports, name, artifact)
    require_runtime(runtime_for(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    return Subject(name=name, runtime=runtime_for(path), path=path, bytes=len(data), sha256=sha256(data))


def _keras_subjects(exports: Path, manifest: Manifest) -> list[Subject]:
    if manifest.model is None:
        raise ArtifactError(f"{exports} has no Keras model", hint="Make one with: edgemnist train")
    for runtime in KERAS_RUNTIMES:
        require_runtime(runtime)
    return [_subject(exports, KERAS, manifest.model, runtime) for runtime in KERAS_RUNTIMES]


def _subject(exports: Path, name: str, record: FileRecord, runtime: str | None = None) -> Subject:
    read_recorded(exports, record)
    path = exports / record.file
    return Subject(name=name, runtime=runtime or runtime_for(path), path=path, bytes=record.bytes, sha256=record.sha256)
