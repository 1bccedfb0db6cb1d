"""Distillation: teachers that are trained once and kept, and the augmented copies of the images that they label."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import tensorflow as tf

from edgemnist.arrays import Images
from edgemnist.data.dataset import Split, split_sha256
from edgemnist.errors import ModelError, TrainingError
from edgemnist.exports.manifest import sha256
from edgemnist.progress import Reporter
from edgemnist.runtimes.keras import ZIP_EPOCH, decode_keras_model, model_bytes
from edgemnist.storage import write_file
from edgemnist.train.augment import distorted
from edgemnist.train.checkpoint import Checkpoint, FitJob, fit_resumably
from edgemnist.train.loop import DataSchedule, EpochData
from edgemnist.train.recipes import Distillation, digest, plan_of
from edgemnist.train.teacher import (
    CONVOLUTIONS,
    MOMENT_IMAGES,
    build_teacher,
    finished_teacher,
    first_weights,
    teacher_answers,
    teacher_logits,
)

if TYPE_CHECKING:
    import keras

RECORD = "edgemnist.json"
"""Member of the file that says what the teacher was made from."""
CHECKPOINT_SUFFIX = ".checkpoint.npz"
RETRAIN = "Delete it, and the teacher will be trained again."


class Teachers:
    """The teachers of a directory, and the copies that the last one labeled, which networks of several sizes share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._labeled: tuple[str, AugmentedCopies] | None = None

    def path_of(self, distillation: Distillation, train: Split, *, classes: int, seed: int) -> Path:
        """Return the file of a teacher, whether or not it exists."""
        record = _record(distillation, train, classes=classes, seed=seed)
        return self._directory / f"teacher-{digest(record)[:8]}.keras"

    def checkpoint_of(self, distillation: Distillation, train: Split, *, classes: int, seed: int) -> Checkpoint:
        """Return the checkpoint of a teacher's training, whether or not it exists."""
        path = self.path_of(distillation, train, classes=classes, seed=seed)
        record = _record(distillation, train, classes=classes, seed=seed)
        return Checkpoint(path.with_suffix(CHECKPOINT_SUFFIX), record)

    def copies(
        self,
        distillation: Distillation,
        train: Split,
        *,
        classes: int,
        seed: int,
        resume: bool,
        reporter: Reporter,
    ) -> tuple[Path, AugmentedCopies]:
        """Return the file of the teacher, trained first if it does not exist, and the copies that it labels.

        Raises TrainingError if the file is damaged or belongs to another training, and what `fit_resumably` raises.
        """
        record = _record(distillation, train, classes=classes, seed=seed)
        path = self.path_of(distillation, train, classes=classes, seed=seed)
        if not path.exists():
            self._train(path, record, distillation, train, seed=seed, resume=resume, reporter=reporter)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}", hint=RETRAIN) from error
        teacher = read_teacher(data, path, record)
        key = digest(sha256(data), distillation, seed)
        if self._labeled is None or self._labeled[0] != key:
            # Let go of the old one first: the copies take a gigabyte.
            self._labeled = None
            self._labeled = key, AugmentedCopies(teacher, train.images, distillation, seed)
        return path, self._labeled[1]

    def _train(
        self,
        path: Path,
        record: Mapping[str, str],
        distillation: Distillation,
        train: Split,
        *,
        seed: int,
        resume: bool,
        reporter: Reporter,
    ) -> None:
        classes = int(record["number of classes"])
        checkpoint = self.checkpoint_of(distillation, train, classes=classes, seed=seed)
        job = FitJob(
            name="Training the teacher",
            forward=teacher_logits,
            weights=first_weights(classes, seed),
            plan=plan_of(distillation.teacher, images=len(train), seed=seed),
            checkpoint=checkpoint,
        )
        fitted = fit_resumably(job, train, resume=resume, reporter=reporter)
        if fitted.interrupted:
            reporter.notice("Interrupted while training the teacher. Continue with --resume.")
            raise KeyboardInterrupt
        # The moments are those of what it was trained on: distorted images, by half the strength on average.
        shown = train.images[:: max(1, len(train) // MOMENT_IMAGES)]
        if (distortion := distillation.teacher.distortion) is not None:
            half = replace(distortion.scaled(0.5), varied=False)
            shown = distorted(shown, half, np.random.default_rng([seed, 1]))
        write_file(path, _with_record(model_bytes(finished_teacher(fitted.weights, shown)), record))
        checkpoint.remove()


def _record(distillation: Distillation, train: Split, *, classes: int, seed: int) -> dict[str, str]:
    """Return everything that a teacher depends on, by its name in messages."""
    return {
        "recipe": digest(distillation.teacher, CONVOLUTIONS),
        "data": split_sha256(train)[:16],
        "number of classes": str(classes),
        "seed": str(seed),
    }


def read_teacher(data: bytes, path: Path, record: Mapping[str, str]) -> keras.Model:
    """Return the teacher of a file's contents. Raises TrainingError if it is damaged, or not what `record` says."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            found = msgspec.json.decode(file.read(RECORD), type=dict[str, str])
    except (zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise TrainingError(f"{path} is damaged or not a teacher", hint=RETRAIN) from error
    except KeyError as error:
        raise TrainingError(
            f"{path} is a Keras model, but not a teacher that edgemnist trained", hint=RETRAIN
        ) from error
    for what, wanted in record.items():
        if found.get(what) != wanted:
            raise TrainingError(
                f"{path} is the teacher of another training: its {what} is {found.get(what)}, not {wanted}",
                hint=RETRAIN,
            )
    try:
        model = decode_keras_model(data, path)
    except ModelError as error:
        raise TrainingError(f"{path} is damaged", hint=RETRAIN) from error
    if _shapes(model) != _shapes(build_teacher(int(record["number of classes"]))):
        raise TrainingError(f"{path} is a teacher of a different shape than this edgemnist trains", hint=RETRAIN)
    return model


def _with_record(model: bytes, record: Mapping[str, str]) -> bytes:
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a") as file:
        file.writestr(zipfile.ZipInfo(RECORD, ZIP_EPOCH), msgspec.json.encode(dict(record)))
    return stream.getvalue()


def _shapes(model: Any) -> list[tuple[int, ...]]:  # noqa: ANN401 - Keras has no types
    return [tuple(weight.shape) for weight in model.get_weights()]


class AugmentedCopies:
    """Copies of the training images, each distorted further than the one before; the first is the images as they are.

    A copy is made when an epoch first needs it, and made again after `Distillation.uses` epochs: what has been seen
    often is memorized.
    """

    def __init__(self, teacher: keras.Model, images: Images, distillation: Distillation, seed: int) -> None:
        """Make none of the copies of `images`, uint8 [N, 28, 28], yet."""
        self.copies = distillation.copies_for(len(images))
        self._teacher = teacher
        self._images = images
        self._distillation = distillation
        self._seed = seed
        self._kept: dict[int, tuple[int, EpochData]] = {}
        """Of each copy the last edition, by its number."""

    def schedule(self, seed: int) -> DataSchedule:
        """Return a schedule that goes through the copies in random order, and then again in another order."""

        def data_of(epoch: int) -> EpochData:
            turn, place = divmod(epoch - 1, self.copies)
            copy = int(np.random.default_rng([seed, turn]).permutation(self.copies)[place])
            return self.copy(copy, turn)

        return data_of

    def copy(self, number: int, turn: int) -> EpochData:
        """Return a copy as it is in a turn, both counted from 0: the images, and the teacher's answers to them."""
        edition = self._distillation.edition_of(number, turn)
        kept = self._kept.get(number)
        if kept is None or kept[0] != edition:
            # Let go of the old one first.
            self._kept.pop(number, None)
            self._kept[number] = edition, self._make(number, edition)
        return self._kept[number][1]

    def _make(self, number: int, edition: int) -> EpochData:
        distortion = self._distillation.distortion.scaled(number / (self.copies - 1))
        rng = np.random.default_rng([self._seed, number, edition])
        images = distorted(self._images, distortion, rng) if number else self._images
        return EpochData(tf.constant(images), tf.constant(np.concatenate(list(teacher_answers(self._teacher, images)))))
