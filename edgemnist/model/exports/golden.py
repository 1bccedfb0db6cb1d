"""The golden pack, and what each artifact answered for it on the machine that exported it.

`golden.npz` has evaluation images, their labels, and the Keras model's probabilities for them. With it, `verify` needs
neither TensorFlow nor the data set, and so runs on the board.

With `answers.npz` a board can tell its own rounding, which moves a value by one step, from a label that came out
differently, for the same artifact; the golden pack alone tells only how far the artifact is from the Keras model.
"""

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from msgspec import UNSET

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Images, Labels, Probabilities, batches
from edgemnist.ground.formatting import count
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports.manifest import Artifact, Manifest, command, open_recorded, read_recorded
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.model.task import Task, unnamed_task

ANSWERS_FILE = "answers.npz"
RANDOM_INPUTS = "random inputs"
"""The source of a pack for which nobody named inputs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenPack:
    """The Keras model's answers, which every artifact is compared with."""

    images: Images
    """[N, *shape], as the task says."""
    truth: Labels | None
    """int64 [N], the true classes; None where nobody has said them."""
    probabilities: Probabilities
    """float32 [N, C], of the model; or [N, ...], any numbers that it answers with."""
    class_labels: tuple[str, ...]
    """Name of each class; none where it answers with numbers."""
    data: DataIdentity
    model_sha256: str
    """Hash of the model file."""
    task: Task = field(default_factory=unnamed_task)
    """What the model is for."""

    def __len__(self) -> int:
        return len(self.images)

    def misfit(self, classifier: Classifier, reference: str = "reference") -> str:
        """Return why a classifier's answers cannot be compared with those of the reference; empty if they can."""
        kinds, asked, answered = ("classes", "numbers"), self.task.numbers, self.probabilities.shape[1:]
        if classifier.answers_numbers != asked:
            return f"it answers with {kinds[not asked]} where the {reference} answers with {kinds[asked]}"
        if classifier.spec.shape != self.images.shape[1:]:
            return f"it reads {classifier.spec.words()}, and the inputs are of {list(self.images.shape[1:])}"
        if not asked and (len(classifier.classes_),) != answered:
            return f"it knows {len(classifier.classes_)} classes where the {reference} has {answered[0]}"
        if asked and classifier.answer(self.images[:1]).shape[1:] != answered:
            return f"it answers with other numbers than the {list(answered)} of the {reference}"
        return ""

    @property
    def labels(self) -> Labels:
        """The true classes, int64 [N]. Raises ArtifactError where nobody has said them."""
        if self.truth is None:
            raise ArtifactError(
                f"The golden pack has no labels: its {count(len(self), 'input')} come from {self.data.source}",
                hint="Export with labelled inputs: edgemnist export --data FILE",
            )
        return self.truth

    def accuracy(self) -> float:
        """Return the Keras model's accuracy, 0 to 1."""
        return float(np.mean(self.probabilities.argmax(axis=1) == self.labels))

    def batches(self, size: int) -> Iterator[Images]:
        """Yield the images, [size, ...], the last ones fewer."""
        return batches(self.images, size)

    def encode(self) -> bytes:
        """Return the contents of the file: the same pack gives the same bytes."""
        stream = io.BytesIO()
        unnamed = self.task == unnamed_task()
        task = {} if unnamed else {"task": np.frombuffer(msgspec.json.encode(self.task), dtype=np.uint8)}
        labels: dict[str, Any] = {} if self.truth is None else {"labels": self.truth}
        np.savez_compressed(
            stream,
            images=self.images,
            **labels,
            probabilities=self.probabilities,
            class_labels=np.array(self.class_labels, dtype=np.str_),
            data=np.frombuffer(msgspec.json.encode(self.data), dtype=np.uint8),
            model_sha256=np.array(self.model_sha256, dtype=np.str_),
            **task,  # type: ignore[arg-type]  # NumPy's stub takes the name for one of its own options
        )
        return stream.getvalue()


_AGAIN = "Write it again with: edgemnist export"
"""Hint if the directory is not known."""
_MOST_BYTES = 256 << 20
"""Limit for the arrays of a file: 300,000 images. Gigabytes of zeros compress to a file of a few megabytes."""


def decode_golden(data: bytes, again: str = _AGAIN) -> GoldenPack:
    """Read the contents of a golden pack. Raises ArtifactError, with the hint `again`, if they are not one."""
    with _damage_told(again), np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        check_size(arrays.zip)
        golden = GoldenPack(
            images=arrays["images"],
            truth=arrays["labels"].astype(np.int64) if "labels" in arrays else None,
            probabilities=arrays["probabilities"],
            class_labels=tuple(str(label) for label in arrays["class_labels"]),
            data=msgspec.json.decode(arrays["data"].tobytes(), type=DataIdentity),
            model_sha256=str(arrays["model_sha256"]),
            task=msgspec.json.decode(arrays["task"].tobytes(), type=Task) if "task" in arrays else unnamed_task(),
        )
        if reason := _inconsistency(golden):
            raise ValueError(reason)
    return golden


@contextmanager
def _damage_told(again: str, what: str = "The golden pack") -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # NumPy and zipfile raise a dozen kinds, depending on which byte is wrong. What is no archive at all NumPy takes
        # for a pickle, and says how to load it unsafely.
        reason = "it holds no arrays of numbers" if "pickle" in str(error) else error
        raise ArtifactError(f"{what} is damaged: {reason}", hint=again) from error


def check_size(archive: zipfile.ZipFile, most: int = _MOST_BYTES) -> None:
    """Raise ValueError if arrays take more memory than those of any export, or than `most` bytes."""
    if sum(member.file_size for member in archive.infolist()) > most:
        raise ValueError(f"its arrays take more than {most >> 20} MB")


def _inconsistency(golden: GoldenPack) -> str:
    truth, classes, spec = golden.truth, len(golden.class_labels), golden.task.input
    number = len(golden) if truth is None else len(truth)
    # Numbers may have any shape.
    answered = golden.probabilities.shape[1:] if golden.task.numbers else (classes,)
    for what, found, shape, dtype in (
        ("images", golden.images, (number, *spec.shape), np.dtype(spec.dtype)),
        ("probabilities", golden.probabilities, (number, *answered), np.dtype(np.float32)),
    ):
        if found.shape != shape or found.dtype != dtype:
            return f"its {what} are {found.dtype} {list(found.shape)} for {number} labels and {classes} classes"
    if number and truth is not None and not golden.task.numbers and not 0 <= truth.min() <= truth.max() < classes:
        return "it has labels without a class"
    return ""


def read_golden(directory: Path, manifest: Manifest, *, to_compare: bool = False) -> GoldenPack:
    """Return the golden pack of an export directory, hash checked.

    Raises ArtifactError if there is none, and with `to_compare` also for one without images, or without answers.
    """
    again = command("export", directory)
    if manifest.golden is None:
        raise ArtifactError(f"{directory} has no golden pack", hint=f"Write one with: {again}")
    golden = decode_golden(read_recorded(directory, manifest.golden), f"Write it again with: {again}")
    if to_compare and len(golden) == 0:
        raise ArtifactError(f"The golden pack of {directory} is empty", hint=f"Write it again with: {again}")
    if to_compare:
        check_finite(golden.probabilities, "The Keras model", f"Make another with: {command('train', directory)}")
    return golden


def check_finite(answers: Probabilities, reference: str, hint: str) -> None:
    """Raise ArtifactError, with this hint, where a reference's answers, float32 [N, ...], are not all finite."""
    if odd := int(np.count_nonzero(~np.isfinite(answers).reshape(len(answers), -1).all(axis=1))):
        raise ArtifactError(
            f"{reference} answers {odd:,} of {count(len(answers), 'input')} with numbers that are not finite, "
            "so nothing can be compared with it",
            hint=hint,
        )


AnswersBySha256 = Mapping[str, Probabilities]
"""float32 [N, C], one image a call, by the hash of the artifact file: they count for this very file only."""


def encode_answers(answers: AnswersBySha256) -> bytes:
    """Return the contents of `answers.npz`: the same answers give the same bytes."""
    stream = io.BytesIO()
    # Not compressed: what deflate makes of it depends on the version of zlib.
    np.savez(stream, **{name: answers[name] for name in sorted(answers)})  # type: ignore[arg-type]  # NumPy's stub takes the names for its own options
    return stream.getvalue()


def decode_answers(file: BinaryIO, artifacts: Iterable[Artifact] | None = None, again: str = _AGAIN) -> AnswersBySha256:
    """Read the answers of all artifacts, or of some.

    Raises ArtifactError, with the hint `again`, if `file` holds none.
    """
    wanted = None if artifacts is None else {artifact.sha256 for artifact in artifacts}
    with _damage_told(again, ANSWERS_FILE), np.load(file, allow_pickle=False) as arrays:
        check_size(arrays.zip)
        return {name: arrays[name] for name in arrays if wanted is None or name in wanted}


def read_answers(directory: Path, manifest: Manifest, artifacts: Iterable[Artifact] | None = None) -> AnswersBySha256:
    """Return the recorded answers of an export directory, of all artifacts or of some; none if it has none.

    Raises ArtifactError if the file is not the recorded one.
    """
    if manifest.answers is None:
        return {}
    again = f"Write it again with: {command('export', directory)}"
    with open_recorded(directory, manifest.answers) as file:
        answers = decode_answers(file, artifacts, again)
    if manifest.golden is not None:
        wanted: tuple[int, ...] = (manifest.golden.images, len(manifest.labels))
        if manifest.resolved_task.numbers:
            wanted = (manifest.golden.images, *next((one.shape[1:] for one in answers.values()), ()))
        for found in answers.values():
            if found.shape != wanted or found.dtype != np.float32:
                raise ArtifactError(
                    f"{ANSWERS_FILE} is damaged: it has {found.dtype} {list(found.shape)} "
                    f"for {wanted[0]:,} images and {wanted[1]} classes",
                    hint=again,
                )
    return answers


def answer_all(
    directory: Path, artifacts: Iterable[Artifact], images: Images, task: Task | None = None
) -> AnswersBySha256:
    """Return the answers of a directory's artifacts, on this machine, to inputs of its task, one at a time."""
    task, answers = task or unnamed_task(), {}
    for one in artifacts:
        classifier = load(directory / one.file, spec=one.spec(task), numbers=task.numbers, trusted=True)
        answers[one.sha256] = ask_one_at_a_time(classifier, images)
    return answers


def ask_one_at_a_time(classifier: Classifier, images: Images) -> Probabilities:
    """Return the answers of `classifier` to images, [N, ...], one per call: float32 [N, ...]."""
    answers = [classifier.answer(images[index : index + 1]) for index in range(len(images))]
    return np.concatenate(answers) if answers else np.empty((0, len(classifier.classes_)), dtype=np.float32)


def answers_of_export(
    exports: Path,
    before: Manifest | None,
    after: Manifest,
    made: Mapping[str, bytes],
    images: Images,
    *,
    twins: Mapping[str, bytes] | None = None,
    reporter: Reporter = SILENT,
) -> bytes:
    """Return the contents of `answers.npz` for an export that has not been written yet.

    `made` holds the new artifacts, contents by file name; they answer here, for the golden pack's images, [N, ...].
    `twins` holds a TFLite file for each one that promises every bit of the integer reference's answers to
    that: these are recorded, so that an export needs no compiler and no browser. Artifacts of `before` keep their
    answers as long as the golden pack is the same; a notice names those whose answers are damaged.
    """
    from edgemnist.model.runtimes.integer import REFERENCE, IntegerClassifier, Rounding

    kept: AnswersBySha256 = {}
    if before is not None and before.golden == after.golden:
        try:
            kept = read_answers(exports, before, after.artifacts)
        except ArtifactError as error:
            # No reason not to export, but `verify` and boards will have nothing to repeat.
            if lost := [one.name for one in after.artifacts if one.file not in made]:
                reporter.notice(
                    f"{error.message}: what {', '.join(lost)} answered when exported is lost, and nothing repeats it. "
                    f"To record it again, run: {command('export', exports)}"
                )
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        for name, data in made.items():
            (Path(directory) / name).write_bytes(data)
        twins, task = twins or {}, after.resolved_task
        new = [one for one in after.artifacts if one.file in made]
        asked = [one for one in new if one.file not in twins]
        answers = {**kept, **answer_all(Path(directory), asked, images, task)}
        for one in new:
            if one.file in twins:
                graph, spec = read_graph(twins[one.file]), one.spec(task)
                rule = REFERENCE if one.rounding is UNSET else Rounding(one.rounding)
                twin = IntegerClassifier(graph, Path(one.file), spec=spec, numbers=task.numbers, rounding=rule)
                answers[one.sha256] = twin.answer(images)
    return encode_answers(answers)
