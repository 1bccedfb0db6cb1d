"""The artifacts that the service answers with, each loaded when it is asked for first."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from edgemnist.deploy.board.store import is_release_name
from edgemnist.errors import MissingDependencyError, UnknownNameError
from edgemnist.manifest import Artifact, read_manifest
from edgemnist.predict import resolve_artifact
from edgemnist.progress import SILENT, Reporter
from edgemnist.runtimes import RUNTIMES, load, runtime_for
from edgemnist.runtimes.interface import Classifier
from edgemnist.serve.results import ArtifactsResponse, ArtifactStatus
from edgemnist.verify.run import read_verification, verified_names


@dataclass(frozen=True)
class Loaded:
    """An artifact that is ready to answer."""

    name: str
    runtime: str
    classifier: Classifier


class Shelf:
    """The artifacts of an export directory, or a single model file."""

    def __init__(
        self, exports: Path, artifact: str | None = None, *, threads: int = 1, reporter: Reporter = SILENT
    ) -> None:
        """`artifact` is the name of the one that answers where none is named, or a model file, which is then the only.

        Raises ArtifactError, ManifestError and MissingDependencyError as `resolve_artifact` and `load` do.
        """
        # Resolved once: what `current` leads to may change before an artifact is loaded, and its release then stays.
        self.exports = exports.resolve()
        self._threads = threads
        self._lock = threading.Lock()
        self.default, path, labels = resolve_artifact(self.exports, artifact, reporter=reporter)
        self._loaded = {self.default: self._load(self.default, path, labels)}
        self._single = path if labels is None else None
        self.labels = list(self._loaded[self.default].classifier.labels)

    @property
    def release(self) -> str | None:
        """Return the name of the release of `edgemnist deploy` that the artifacts belong to, if they do."""
        name = self.exports.parent.name
        return name if self._single is None and is_release_name(name) else None

    def ready(self, name: str | None) -> Loaded | None:
        """Return an artifact, the default one for None, or None where it is still to be loaded."""
        return self._loaded.get(name or self.default)

    def get(self, name: str | None) -> Loaded:
        """Return an artifact, the default one for None, and load it where that is still to be done.

        Raises UnknownNameError, ArtifactError where its file has changed, and MissingDependencyError.
        """
        name = name or self.default
        with self._lock:
            if name not in self._loaded:
                self.check(name)
                _, path, labels = resolve_artifact(self.exports, name)
                self._loaded[name] = self._load(name, path, labels)
            return self._loaded[name]

    def check(self, name: str) -> None:
        """Raise UnknownNameError for an artifact that is not there, and MissingDependencyError where it cannot run."""
        if name in self._loaded:
            return
        if self._single is not None:
            raise UnknownNameError("artifact", name, [self.default])
        entry = RUNTIMES[runtime_for(Path(read_manifest(self.exports).artifact(name).file))]
        if missing := entry.missing():
            raise MissingDependencyError(entry.summary, missing, entry.install_line())

    def describe(self) -> ArtifactsResponse:
        """Return what can be asked for. Raises ManifestError where the record has become unreadable."""
        if self._single is not None:
            kind, _, quantization = self.default.partition("-")
            status = ArtifactStatus(
                name=self.default,
                format=kind,
                quantization=quantization,
                runtime=runtime_for(self._single),
                bytes=self._single.stat().st_size,
                default=True,
                usable=True,
                verified=False,
            )
            return ArtifactsResponse(labels=self.labels, artifacts=[status])
        manifest = read_manifest(self.exports)
        verified, parity = verified_names(self.exports, manifest), read_verification(self.exports)
        accuracies = {one.sha256: one.accuracy for one in parity.artifacts} if parity is not None else {}
        return ArtifactsResponse(
            labels=self.labels,
            artifacts=[
                self._status(one, one.name in verified, accuracies.get(one.sha256)) for one in manifest.artifacts
            ],
        )

    def _status(self, artifact: Artifact, verified: bool, accuracy: float | None) -> ArtifactStatus:  # noqa: FBT001
        runtime = runtime_for(Path(artifact.file))
        return ArtifactStatus(
            name=artifact.name,
            format=artifact.format,
            quantization=artifact.quantization,
            runtime=runtime,
            bytes=artifact.bytes,
            default=artifact.name == self.default,
            usable=not RUNTIMES[runtime].missing(),
            verified=verified,
            accuracy=accuracy,
        )

    def _load(self, name: str, path: Path, labels: list[str] | None) -> Loaded:
        return Loaded(name, runtime_for(path), load(path, threads=self._threads, labels=labels))
