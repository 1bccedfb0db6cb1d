"""The golden pack, and what each artifact answered for it on the machine that exported it.

`golden.npz` has evaluation images, their labels, and the Keras model's probabilities for them. With it, `verify` needs
neither TensorFlow nor the data set, and so runs on the board. There it reads the images from the file a batch at a
time, so that its memory does not depend on how many there are.

With `answers.npz` a board can tell its own rounding, which moves a value by one step, from a label that came out
differently, for the same artifact; the golden pack alone tells only how far the artifact is from the Keras model.
"""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Images, Labels, Probabilities, batches
from edgemnist.errors import ArtifactError
from edgemnist.exports.manifest import command, open_recorded, read_recorded
from edgemnist.results.data import DataIdentity

if TYPE_CHECKING:
    from edgemnist.exports.manifest import Artifact, GoldenRecord, Manifest
    from edgemnist.runtimes.interface import Classifier

ANSWERS_FILE = "answers.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class Golden(ABC):
    """The Keras model's answers, which every artifact is compared with."""

    labels: Labels
    """int64 [N], the true classes."""
    probabilities: Probabilities
    """float32 [N, C], of the Keras model."""
    class_labels: tuple[str, ...]
    """Name of each class."""
    data: DataIdentity
    model_sha256: str
    """Hash of the Keras model file."""

    def accuracy(self) -> float:
        """Return the Keras model's accuracy, 0 to 1."""
        return float(np.mean(self.probabilities.argmax(axis=1) == self.labels))

    @abstractmethod
    def batches(self, size: int) -> Iterator[Images]:
        """Yield the images, uint8 [size, 28, 28], the last ones fewer, from the first on each time it is called."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenPack(Golden):
    """A golden pack with the images in memory."""

    images: Images
    """uint8 [N, 28, 28]."""

    def batches(self, size: int) -> Iterator[Images]:
        """Yield the images, uint8 [size, 28, 28], the last ones fewer."""
        return batches(self.images, size)

    def encode(self) -> bytes:
        """Return the contents of the file: the same pack gives the same bytes."""
        stream = io.BytesIO()
        np.savez_compressed(
            stream,
            images=self.images,
            labels=self.labels,
            probabilities=self.probabilities,
            class_labels=np.array(self.class_labels, dtype=np.str_),
            data=np.frombuffer(msgspec.json.encode(self.data), dtype=np.uint8),
            model_sha256=np.array(self.model_sha256, dtype=np.str_),
        )
        return stream.getvalue()


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenFile(Golden):
    """A golden pack with the images in an open file."""

    archive: zipfile.ZipFile
    again: str
    """Hint on how to write it again."""

    def batches(self, size: int) -> Iterator[Images]:
        """Yield the images, uint8 [size, 28, 28], the last ones fewer. Raises ArtifactError if they are damaged."""
        with _damage_told(self.again), self.archive.open(_IMAGES) as member:
            _header(member)
            for start in range(0, len(self.labels), size):
                shape = min(size, len(self.labels) - start), IMAGE_SIDE, IMAGE_SIDE
                yield np.frombuffer(member.read(math.prod(shape)), np.uint8).reshape(shape)


_AGAIN = "Write it again with: edgemnist export"
"""Hint if the directory is not known."""
_IMAGES = "images.npy"
_DECODED_AT_A_TIME = 1000
_MOST_BYTES = 1 << 28
"""Limit for the arrays of a file: 300,000 images. Gigabytes of zeros compress to a file of a few megabytes."""


def decode_golden(data: bytes, again: str = _AGAIN) -> GoldenPack:
    """Read the contents of a golden pack. Raises ArtifactError, with the hint `again`, if they are not one."""
    with _decoded(io.BytesIO(data), again) as golden:
        images = np.empty((len(golden.labels), IMAGE_SIDE, IMAGE_SIDE), np.uint8)
        done = 0
        for batch in golden.batches(_DECODED_AT_A_TIME):
            images[done : (done := done + len(batch))] = batch
        return GoldenPack(images=images, **{one.name: getattr(golden, one.name) for one in fields(Golden)})


@contextmanager
def _decoded(stream: BinaryIO, again: str) -> Iterator[GoldenFile]:
    with _damage_told(again):
        arrays, archive = np.load(stream, allow_pickle=False), zipfile.ZipFile(stream)
        check_size(archive)
    with arrays, archive:
        with _damage_told(again):
            golden = GoldenFile(
                labels=arrays["labels"].astype(np.int64),
                probabilities=arrays["probabilities"],
                class_labels=tuple(str(label) for label in arrays["class_labels"]),
                data=msgspec.json.decode(arrays["data"].tobytes(), type=DataIdentity),
                model_sha256=str(arrays["model_sha256"]),
                archive=archive,
                again=again,
            )
            with archive.open(_IMAGES) as member:
                reason = _inconsistency(golden, _header(member))
        if reason:
            raise ArtifactError(f"The golden pack is damaged: {reason}", hint=again)
        yield golden


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


_Header = tuple[tuple[int, ...], bool, np.dtype[Any]]
"""Header of an array file: shape, whether columns come first, and type."""


def _header(member: IO[bytes]) -> _Header:
    if (version := np.lib.format.read_magic(member)) != (1, 0):
        raise ValueError(f"its images use version {version} of NumPy's array format")
    header: _Header = np.lib.format.read_array_header_1_0(member)
    return header


def _inconsistency(golden: Golden, images: _Header) -> str:
    """Return what is wrong with the arrays, or nothing."""
    count, classes = len(golden.labels), len(golden.class_labels)
    if images != ((count, IMAGE_SIDE, IMAGE_SIDE), False, np.dtype(np.uint8)):
        shape, _, dtype = images
        return f"its images are {dtype} {list(shape)} for {count} labels"
    if golden.probabilities.dtype != np.float32 or golden.probabilities.shape != (count, classes):
        found = f"{golden.probabilities.dtype} {list(golden.probabilities.shape)}"
        return f"its probabilities are {found} for {count} images and {classes} classes"
    if count and not 0 <= golden.labels.min() <= golden.labels.max() < classes:
        return "it has labels without a class"
    return ""


def read_golden(directory: Path, manifest: Manifest) -> GoldenPack:
    """Return the golden pack of an export directory, hash checked. Raises ArtifactError if there is none."""
    return decode_golden(read_recorded(directory, _recorded(directory, manifest)), _again(directory))


@contextmanager
def open_golden(directory: Path, manifest: Manifest) -> Iterator[GoldenFile]:
    """Open the golden pack of an export directory, hash checked. Raises ArtifactError if there is none."""
    with open_recorded(directory, _recorded(directory, manifest)) as file, _decoded(file, _again(directory)) as golden:
        yield golden


def _again(directory: Path) -> str:
    return f"Write it again with: {command('export', directory)}"


def _recorded(directory: Path, manifest: Manifest) -> GoldenRecord:
    if manifest.golden is None:
        raise ArtifactError(f"{directory} has no golden pack", hint=f"Write one with: {command('export', directory)}")
    return manifest.golden


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
    with open_recorded(directory, manifest.answers) as file:
        answers = decode_answers(file, artifacts, _again(directory))
    if manifest.golden is not None:
        wanted = manifest.golden.images, len(manifest.labels)
        for found in answers.values():
            if found.shape != wanted or found.dtype != np.float32:
                raise ArtifactError(
                    f"{ANSWERS_FILE} is damaged: it has {found.dtype} {list(found.shape)} "
                    f"for {wanted[0]:,} images and {wanted[1]} classes",
                    hint=_again(directory),
                )
    return answers


def answer_all(directory: Path, artifacts: Iterable[Artifact], images: Images) -> AnswersBySha256:
    """Return the answers of a directory's artifacts, on this machine, to images, uint8 [N, 28, 28], one at a time."""
    from edgemnist.runtimes import load

    return {
        artifact.sha256: ask_one_at_a_time(load(directory / artifact.file, input_range=artifact.input_range), images)
        for artifact in artifacts
    }


def ask_one_at_a_time(classifier: Classifier, images: Images) -> Probabilities:
    """Return the answers of `classifier` to images, uint8 [N, 28, 28], one per call: float32 [N, C]."""
    answers = np.empty((len(images), len(classifier.classes_)), dtype=np.float32)
    for index in range(len(images)):
        answers[index] = classifier.predict_proba(images[index : index + 1])[0]
    return answers


def answers_of_export(
    exports: Path, before: Manifest | None, after: Manifest, made: Mapping[str, bytes], images: Images
) -> bytes:
    """Return the contents of `answers.npz` for an export that has not been written yet.

    `made` holds the new artifacts, contents by file name; they answer here, for the golden pack's images, uint8
    [N, 28, 28]. Artifacts of `before` keep their answers as long as the golden pack is the same.
    """
    kept: AnswersBySha256 = {}
    if before is not None and before.golden == after.golden:
        # Answers that were damaged are no reason not to export: they are made without.
        with contextlib.suppress(ArtifactError):
            kept = read_answers(exports, before, after.artifacts)
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        for name, data in made.items():
            (Path(directory) / name).write_bytes(data)
        new = answer_all(Path(directory), [one for one in after.artifacts if one.file in made], images)
    return encode_answers({**kept, **new})
