"""A model is a file × a runtime: `tflite-int8`, `tflite-int8@integer`, `mine.onnx@openvino`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import Images, Labels
from edgemnist.errors import ArtifactError, ManifestError, MissingDependencyError, StorageError, UsageError
from edgemnist.exports.manifest import Artifact, Manifest, ModelRecord, read_manifest
from edgemnist.exports.questions import near_chance
from edgemnist.formats import INPUT_RANGES
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.pictures import DIGITS
from edgemnist.runtimes import RUNTIMES, RuntimeEntry, default_runtime, is_model_file, load, read_file, runtimes_of
from edgemnist.runtimes.interface import Classifier
from edgemnist.storage import sha256

RANGE_IMAGES: Final = 100
"""Digits on which the range of a model file is found: in a wrong one, few are right."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model file in the runtime that executes it."""

    artifact: str
    """Name of the artifact, or the path of a model file from elsewhere."""
    runtime: str
    path: Path
    bytes: int
    sha256: str
    record: Artifact | None = None
    """What the manifest says about the file; None for one from elsewhere."""
    labels: tuple[str, ...] | None = None
    """Class names from the manifest beside a file that was named by its path."""
    input_range: str | None = None
    """Input range, also from that manifest."""

    @functools.cached_property
    def name(self) -> str:
        """What the model is called everywhere: `tflite-int8`, or `tflite-int8@integer` in a runtime of its own."""
        return model_name(self.artifact, self.runtime, self.path)

    @property
    def entry(self) -> RuntimeEntry:
        """The runtime's entry in the registry."""
        return RUNTIMES[self.runtime]

    @property
    def recorded_range(self) -> str | None:
        """The model's input values of a black and a white pixel; None for 0..1, or if its file says so itself."""
        return self.record.input_range if self.record is not None else self.input_range

    @classmethod
    def recorded(cls, directory: Path, record: Artifact, runtime: str) -> Model:
        """Return a recorded artifact of a directory in a runtime."""
        return cls(
            artifact=record.name,
            runtime=runtime,
            path=directory / record.file,
            bytes=record.bytes,
            sha256=record.sha256,
            record=record,
        )

    def can_load(self) -> bool:
        """Return whether the runtime takes this very file."""
        try:
            self.load()
        except ArtifactError:
            return False
        return True

    def load(self, *, threads: int = 1, labels: Sequence[str] | None = None) -> Classifier:
        """Return the classifier; the file is taken as it is. Raises what `edgemnist.load` raises."""
        labels = labels if labels is not None else self.labels
        return load(self.path, runtime=self.runtime, threads=threads, labels=labels, input_range=self.recorded_range)


def model_name(artifact: str, runtime: str, path: Path | str) -> str:
    """Return `artifact`, and `@runtime` where that is not the default for the file at `path`."""
    return artifact if runtime == default_runtime(path, artifact) else f"{artifact}@{runtime}"


def split_name(name: str) -> tuple[str, str | None]:
    """Return the artifact or file that `NAME[@RUNTIME]` names, and the runtime, None for the default.

    Raises UnknownNameError for an unknown runtime. An `@` within a path belongs to the path.
    """
    artifact, at, runtime = name.rpartition("@")
    if not at or "/" in runtime or is_model_file(runtime):
        return name, None
    _ = RUNTIMES[runtime]
    return artifact, runtime


def absolute_name(name: str | None) -> tuple[str | None, Path | None]:
    """Return the name of a model as another working directory spells it, and the model file that it names, if any."""
    if name is None or not is_model_file(split_name(name)[0]):
        return name, None
    text, runtime = split_name(name)
    path = Path(text).absolute()
    return f"{path}@{runtime}" if runtime else str(path), path


def file_model(name: str) -> Model:
    """Return the model that `FILE[@RUNTIME]` names.

    Raises ArtifactError if the file cannot be read or no runtime takes it, UsageError if the named one does not,
    and MissingDependencyError if the runtime is not installed.
    """
    text, runtime = split_name(name)
    path = Path(text)
    chosen = runtime or default_runtime(path)
    require_runtime(chosen)
    if chosen not in runtimes_of(path):
        raise cannot_execute(chosen, text)
    data = read_file(path)
    found = sha256(data)
    beside = recorded_beside(path, found)
    return Model(
        artifact=text,
        runtime=chosen,
        path=path,
        bytes=len(data),
        sha256=found,
        labels=None if beside is None else tuple(beside[0].labels),
        input_range=None if beside is None else beside[1].input_range,
    )


def in_its_range(model: Model, images: Images, labels: Labels, reporter: Reporter = SILENT) -> Model:
    """Return a model of the ten digits from elsewhere, given pixels in the range in which it reads digits.

    `images` are digits, uint8 [N, 28, 28], and `labels` what they are, int64 [N]. Nothing says which range a file of
    unknown origin takes. In the wrong one it still answers, but is hardly ever right. A model is returned unchanged if
    it reads them as it is, or in no range, if it has other classes, or if the manifest beside it names its range.
    """
    if model.input_range is not None or model.labels is not None:
        return model
    shown, truth = images[:RANGE_IMAGES], labels[:RANGE_IMAGES]

    def accuracy(input_range: str | None) -> float | None:
        try:
            classifier = replace(model, input_range=input_range).load()
        except ArtifactError:
            # A quantized input that cannot express it, or no classifier of images at all.
            return None
        if tuple(classifier.labels) != DIGITS:
            return 1.0
        return float(np.mean(classifier.predict_proba(shown).argmax(axis=1) == truth))

    usual = accuracy(None)
    if usual is not None and not near_chance(usual, len(DIGITS), len(truth)):
        return model
    answers = {name: accuracy(name) for name in INPUT_RANGES}
    if usual is None and set(answers.values()) == {None}:
        # Whoever loads it is told why it cannot be.
        return model
    as_it_is, found = usual or 0.0, {name: right or 0.0 for name, right in answers.items()}
    best = max(found, key=lambda name: found[name])
    if near_chance(found[best], len(DIGITS), len(truth)):
        reporter.notice(
            f"{model.artifact} gets {100 * as_it_is:.0f} % of {len(truth)} digits of MNIST right, hardly better "
            "than guessing, whatever range its pixels are in."
        )
        return model
    reporter.notice(
        f"{model.artifact} is given pixels in {best}: it gets {100 * found[best]:.0f} % of {len(truth)} digits of "
        f"MNIST right with those, and {100 * as_it_is:.0f} % with the usual ones."
    )
    return replace(model, input_range=best)


def recorded_beside(path: Path, found: str) -> tuple[Manifest, ModelRecord | Artifact] | None:
    """Return the manifest beside a file, and its record of the file, if it records this very one, by its SHA-256."""
    try:
        manifest = read_manifest(path.parent)
    except (ManifestError, StorageError):
        return None
    records = (one for one in (manifest.model, *manifest.artifacts) if one is not None and one.sha256 == found)
    return next(((manifest, record) for record in records), None)


def cannot_execute(runtime: str, name: str) -> UsageError:
    """Return the error for a named runtime that does not execute the file or artifact it was named for."""
    entry = RUNTIMES[runtime]
    only = f"{' and '.join(entry.quantizations)} " if entry.quantizations else ""
    takes = f"{only}files ending in {' or '.join(entry.suffixes)}" if entry.suffixes else "no files"
    return UsageError(f"The runtime {runtime} does not execute {name}", hint=f"It executes {takes}.")


def require_runtime(name: str) -> None:
    """Raise MissingDependencyError, with the pip line, if a runtime is not installed. Imports nothing."""
    entry = RUNTIMES[name]
    if missing := entry.missing():
        raise MissingDependencyError(entry.summary, missing, entry.install_line())
