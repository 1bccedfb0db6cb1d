"""A model is a file × a runtime: `tflite-int8`, `tflite-int8@integer`, `mine.onnx@onnxruntime`."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.errors import ArtifactError, ManifestError, MissingDependencyError, StorageError, UsageError
from edgemnist.ground.arrays import Images, Labels, Probabilities
from edgemnist.ground.formatting import percent
from edgemnist.ground.inputs import INPUT_RANGES, InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.verdict import Basis
from edgemnist.ground.storage import sha256
from edgemnist.model.exports.manifest import Artifact, Manifest, ModelRecord, read_manifest
from edgemnist.model.exports.questions import near_chance
from edgemnist.model.exports.ranges import Logits, logarithms, weigh
from edgemnist.model.formats import arithmetic_of
from edgemnist.model.runtimes import (
    RUNTIMES,
    RuntimeEntry,
    default_runtime,
    is_model_file,
    load,
    read_file,
    runtimes_of,
)
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.model.task import Task, default_input, default_labels, default_task, task_of, unnamed_task

if TYPE_CHECKING:
    from edgemnist.model.native.amalgamation import Origin
    from edgemnist.model.native.webassembly import About

RANGE_IMAGES: Final = 500
"""Pictures on which the range of a model file is found."""
WELL: Final = 0.2
"""Mean cross-entropy up to which a model reads them well: no other range is worth the time of trying it."""
AS_IT_IS: Final = ""
"""Stands for the range that a file says itself, else 0..1."""


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
    spec: InputSpec | None = None
    """What it reads, as a manifest records it; None if only its file says so."""
    task: Task | None = None
    """What it is for, as a manifest says it; None for a file from elsewhere."""
    trusted: bool = False
    """Whether the manifest of the export directory records the hash of the file; others are a stranger's."""

    @functools.cached_property
    def name(self) -> str:
        """What the model is called everywhere: `tflite-int8`, or `tflite-int8@integer` in a runtime of its own."""
        return model_name(self.artifact, self.runtime, self.path)

    @property
    def entry(self) -> RuntimeEntry:
        """The runtime's entry in the registry."""
        return RUNTIMES[self.runtime]

    @property
    def numbers(self) -> bool | None:
        """Whether it answers with numbers, and not with classes; None if only its file says so."""
        return None if self.task is None else self.task.numbers

    @classmethod
    def recorded(cls, directory: Path, record: Artifact, runtime: str, task: Task) -> "Model":
        """Return a recorded artifact of a directory, whose models are for `task`, in a runtime."""
        return cls(
            artifact=record.name,
            runtime=runtime,
            path=directory / record.file,
            bytes=record.bytes,
            sha256=record.sha256,
            record=record,
            spec=record.spec(task),
            task=task,
            trusted=True,
        )

    @property
    def may_crash(self) -> bool:
        """Whether it is tried in a child process before other models depend on this one: a runtime may die of it."""
        recorded = self.record is not None and not self.entry.origin
        return self.entry.foreign and (recorded or not self.trusted)

    def can_load(self) -> bool:
        """Return whether the runtime takes this very file."""
        try:
            self.load()
        except ArtifactError:
            return False
        return True

    @property
    def twin(self) -> Path | None:
        """The file that the integer reference reads: of a C file or a page the TFLite file that it was made with.

        None where that is not beside it.
        """
        from edgemnist.model.native.classifier import twin_of

        if not self._has_twin:
            return self.path
        made_from = self._made_from
        return twin_of(self.path, made_from.tflite_sha256) if made_from else None

    @property
    def rounding(self) -> str:
        """The rule by which a C file or a page rounds, and of any other file the reference's own."""
        made_from = self._made_from
        return made_from.rounding if made_from else "single"

    @property
    def _has_twin(self) -> bool:
        return self.path.suffix in {*RUNTIMES["compiled"].suffixes, *RUNTIMES["browser"].suffixes}

    @property
    def _made_from(self) -> "Origin | About | None":
        """What a C file or a page says of where it comes from."""
        from edgemnist.model.native.amalgamation import origin_of
        from edgemnist.model.native.webassembly import describe_page

        if not self._has_twin:
            return None
        data = self.path.read_bytes()
        return origin_of(data) if self.path.suffix in RUNTIMES["compiled"].suffixes else describe_page(data)

    def load(self, *, threads: int = 1, labels: Sequence[str] | None = None) -> Classifier:
        """Return the classifier; the file is taken as it is. Raises what `edgemnist.load` raises."""
        classifier = load(
            self.path,
            runtime=self.runtime,
            threads=threads,
            labels=labels if labels is not None else self.labels,
            spec=self.spec,
            numbers=self.numbers,
            trusted=self.trusted,
        )
        if self.task is not None and self.task.name:
            classifier.task = self.task
        return classifier


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A model that is verified: its file opened and checked, loaded, and what is known of it."""

    model: Model
    classifier: Classifier
    format: str
    quantization: str
    """With its format it says whose limits hold."""
    rests_on: Basis
    """What a verdict on it rests on, but for the limits."""
    misfit: str = ""
    """Why its answers cannot be compared with those of the reference, see `GoldenPack.misfit`."""
    mistakes: Sequence[str] = ()
    """A sentence for each way in which it is not of what it is compared with."""
    doubts: Sequence[str] = ()
    """A sentence for each reason why agreement with that proves nothing."""
    outdated: bool = False
    """Whether one of these is another Keras model."""
    exported: Probabilities | None = None
    """What it answered on the exporting machine, float32 [N, C]; None if that is unknown."""
    output_scale: float | None = None
    """Step of a quantized output."""

    @property
    def arithmetic(self) -> str:
        """Which quantization its sums are computed in."""
        return arithmetic_of(self.format, self.quantization)


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


def is_file(name: str) -> bool:
    """Return whether `NAME[@RUNTIME]` names a file, and no artifact of an export directory."""
    path = Path(split_name(name)[0])
    return bool(path.suffix) and (path.is_file() or is_model_file(path))


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
    require_runtime(chosen, name)
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
        spec=None if beside is None else beside[1].spec(beside[0].resolved_task),
        task=None if beside is None else beside[0].resolved_task,
    )


def in_its_range(
    model: Model,
    images: Images,
    labels: Labels,
    reporter: Reporter = SILENT,
    *,
    names: Sequence[str] | None = None,
    noun: str = "pictures of MNIST",
) -> Model:
    """Return a model from elsewhere, given pixels in the range in which it tells labelled pictures apart.

    `images` are pictures, uint8 [N, ...], `labels` what they are, int64 [N], and `names` those of the classes, by
    default of the default task; messages call them `noun`. Nothing says which range a file of unknown origin takes, and
    in a wrong one it still answers, but worse. A model is returned unchanged if it reads them well as it is, or no
    clearly better in another range, if it has other classes, or if the manifest beside it names its range.
    """
    if model.spec is not None or model.labels is not None or images.dtype != np.uint8:
        return model
    shown, truth = images[:RANGE_IMAGES], labels[:RANGE_IMAGES]
    classes = default_labels() if names is None else tuple(names)
    numbered = tuple(map(str, range(len(classes))))

    def answer(input_range: str) -> Logits:
        given = None if input_range == AS_IT_IS else InputSpec.of_range(shown.shape[1:], input_range)
        classifier = replace(model, spec=given).load()
        odd = tuple(classifier.labels) not in {classes, numbered if names else classes}
        if classifier.answers_numbers or odd or classifier.spec.shape != shown.shape[1:]:
            raise ArtifactError(f"{model.artifact} has other classes than these")
        return logarithms(classifier.predict_proba(shown))

    usual = weigh([AS_IT_IS], answer, truth)
    if usual and usual[0].loss <= WELL:
        return model
    others = weigh(INPUT_RANGES, answer, truth)
    if not others:
        # Whoever loads it is told why it cannot be.
        return model
    best = others[0]
    gets = f"{percent(usual[0].accuracy, 0)} of {len(truth)} {noun} right" if usual else "no answer"
    if near_chance(max(one.accuracy for one in (*usual, *others)), len(classes), len(truth)):
        reporter.notice(
            f"{model.artifact} gets {gets}, hardly better than guessing, whatever range its pixels are in. "
            "It may be for other classes."
        )
        return model
    if usual and not best.is_clearly_better(usual[0]):
        return model
    reporter.notice(
        f"{model.artifact} is given pixels in {best.name}: it gets {percent(best.accuracy, 0)} of {len(truth)} "
        f"{noun} right with those, and {gets if not usual else percent(usual[0].accuracy, 0)} with the usual ones."
    )
    return replace(model, spec=InputSpec.of_range(shown.shape[1:], best.name))


def tell_guesses(model: Model, classifier: Classifier, reporter: Reporter, remedy: str = "") -> None:
    """Tell what a file without a record is taken for, and for what else it might be."""
    known = [] if model.spec is None else ["reads"]
    guesses = [guess for guess in classifier.guesses if not guess.startswith(tuple(known))]
    if model.task is None and guesses:
        taken = f"{model.artifact} has no record: it is taken for a model that {', and '.join(guesses)}."
        reporter.notice(f"{taken} {remedy}".rstrip())


def understood(model: Model, reporter: Reporter = SILENT) -> Model:
    """Return a model of which it is known what it reads and answers with: of a file without a record as it is guessed.

    The guess is told. Raises what `Model.load` raises.
    """
    if model.task is not None:
        return model
    classifier = model.load()
    tell_guesses(model, classifier, reporter, "Inputs of another kind, with --data, decide.")
    same = default_task().input.takes_the_same(classifier.spec) and not classifier.answers_numbers
    return replace(model, spec=classifier.spec, task=unnamed_task() if same else task_of(classifier))


def models_of(name: str, reporter: Reporter = SILENT) -> list[Model]:
    """Return the models that `FILE[@RUNTIME]` names, understood: with no runtime, in each that takes the file here.

    Those that must be asked for by name are left out. Raises what `file_model` and `understood` raise.
    """
    first = understood(file_model(name), reporter)
    if split_name(name)[1] is not None:
        return [first]
    entries = {runtime: RUNTIMES[runtime] for runtime in runtimes_of(first.path)[1:]}
    others = (replace(first, runtime=name) for name, one in entries.items() if not one.by_name and not one.missing())
    return [first, *(one for one in others if not one.entry.partial or one.can_load())]


def random_inputs(model: Model, count: int) -> Images:
    """Return random inputs of a model that is understood, [N, ...]: of a quantized one all that it can tell apart."""
    low, high = -1.0, 1.0
    if model.path.suffix in RUNTIMES["integer"].suffixes:
        graph = read_graph_file(model.path)
        held = graph.tensors[graph.inputs[0]]
        if held.scales.size:
            ends = np.iinfo(held.dtype)
            low, high = (float(held.scales[0]) * (end - int(held.zero_points[0])) for end in (ends.min, ends.max))
    found: Images = (model.spec or default_input()).random(count, low=low, high=high)
    return found


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


def require_runtime(name: str, model: str = "") -> None:
    """Raise MissingDependencyError, with the line that brings it, if a runtime is missing. Imports nothing.

    `model` is what needs it, empty for the runtime itself.
    """
    entry = RUNTIMES[name]
    if missing := entry.missing():
        raise MissingDependencyError(model or entry.summary, missing, entry.install_line())
