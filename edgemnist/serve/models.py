"""The models that the service answers with, each loaded when it is first asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edgemnist.board.agent.store import release_of
from edgemnist.errors import UnknownNameError
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.pictures import ArtifactsResponse, ArtifactStatus
from edgemnist.model.answers import Answering
from edgemnist.model.exports import CURRENT, Exports, RecordedArtifact, model_for
from edgemnist.model.exports.models import Model, tell_guesses
from edgemnist.model.runtimes import RUNTIMES, default_runtime
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import Task, task_of


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to answer."""

    name: str
    runtime: str
    classifier: Classifier


class ModelStore:
    """The models of an export directory, or a single model file."""

    def __init__(
        self, exports: Exports | None, artifact: str | None = None, *, threads: int = 1, reporter: Reporter = SILENT
    ) -> None:
        """`artifact` is what answers where a request names nothing: `NAME[@RUNTIME]`, or a model file.

        `exports` is None where a model file answers, which is then the only one. Raises what `model_for` and
        `Model.load` raise.
        """
        # Resolved once: what `current` leads to may change before a model is loaded, and its release then stays.
        self._exports = None if exports is None else Exports(exports.directory.resolve(), exports.manifest)
        self._threads = threads
        self._lock = threading.Lock()
        self._model, labels = model_for(self._exports, artifact, reporter)
        self.default = self._model.name
        self._loaded = {self.default: self._load(self._model, labels)}
        self.labels = list(self._loaded[self.default].classifier.labels)
        tell_guesses(self._model, self._loaded[self.default].classifier, reporter)

    @property
    def release(self) -> str | None:
        """Return the name of the release of `edgemnist deploy` that the models belong to, if they do."""
        return None if self._exports is None else release_of(self._exports.directory)

    def answering(self, reporter: Reporter) -> Answering:
        """Return the default model for its observers, which requests do not wait for."""
        classifier = self._loaded[self.default].classifier
        return Answering(
            model=self._model, classifier=classifier, exports=self._exports, reporter=reporter, waits=False
        )

    def ready(self, name: str | None) -> LoadedModel | None:
        """Return a model, the default one for None; None where it is still to be loaded."""
        return self._loaded.get(name or self.default)

    def get(self, name: str | None) -> LoadedModel:
        """Return a model, the default one for None, and load it where that is still to be done.

        Raises UnknownNameError, ArtifactError where its file has changed, UsageError and MissingDependencyError where
        its runtime cannot execute it here.
        """
        name = name or self.default
        with self._lock:
            if name not in self._loaded:
                if self._exports is None or "/" in name:
                    raise UnknownNameError("artifact", name, [self.default])
                (model,) = self._exports.select([name])
                found = self._loaded.get(model.name) or self._load(model, self._exports.labels_for(model))
                self._loaded[model.name] = self._loaded[name] = found
            return self._loaded[name]

    def describe(self) -> ArtifactsResponse:
        """Return what can be asked for. Raises ManifestError where the record has become unreadable."""
        if self._exports is None:
            kind, _, quantization = self.default.rpartition("/")[2].partition("-")
            status = ArtifactStatus(
                name=self.default,
                format=kind,
                quantization=quantization,
                runtime=self._model.runtime,
                bytes=self._model.bytes,
                default=True,
                usable=True,
                verified=False,
            )
            return self._described([status])
        # Opened each time: a training, an export or a verification may have come in between.
        exports = Exports.open(self._exports.directory)
        return self._described([self._status(exports, artifact) for artifact in exports.artifacts])

    def _described(self, artifacts: list[ArtifactStatus]) -> ArtifactsResponse:
        classifier = self._loaded[self.default].classifier
        return ArtifactsResponse(labels=self.labels, artifacts=artifacts, task=self.task.name, takes=classifier.spec)

    @property
    def task(self) -> Task:
        """What the default model is for."""
        return task_of(self._loaded[self.default].classifier)

    def _status(self, exports: Exports, artifact: RecordedArtifact) -> ArtifactStatus:
        record = artifact.record
        runtime = default_runtime(record.file, record.name)
        parity = exports.findings.parity(record.name)
        return ArtifactStatus(
            name=record.name,
            format=record.format,
            quantization=record.quantization,
            runtime=runtime,
            bytes=record.bytes,
            default=record.name == self.default,
            usable=artifact.usable and not RUNTIMES[runtime].missing(),
            verified=artifact.status == CURRENT and exports.findings.is_verified(record.name),
            accuracy=parity.accuracy if parity is not None else None,
            status=artifact.status,
        )

    def _load(self, model: Model, labels: list[str] | None) -> LoadedModel:
        classifier = model.load(threads=self._threads, labels=labels)
        # Now, as the first request would wait for it.
        task_of(classifier)
        return LoadedModel(model.name, model.runtime, classifier)
