"""Teachers, trained once and kept: `teacher-*.keras` beside the model, reused where recipe, data and seed match."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgemnist.data.identity import split_sha256
from edgemnist.data.interface import Split
from edgemnist.errors import ModelError, TrainingError
from edgemnist.manifest import sha256
from edgemnist.progress import Reporter
from edgemnist.runtimes.kerasfile import decode_keras_model
from edgemnist.storage import write_file
from edgemnist.train.checkpoint import Checkpoint, digest
from edgemnist.train.course import Training, follow
from edgemnist.train.plan import plan_of
from edgemnist.train.recipes import Distillation
from edgemnist.train.saving import ZIP_EPOCH, model_bytes
from edgemnist.train.teacher import (
    CONVOLUTIONS,
    MOMENT_IMAGES,
    build_teacher,
    finished_teacher,
    first_weights,
    teacher_logits,
)

if TYPE_CHECKING:
    import keras

    from edgemnist.train.pool import Pool

RECORD = "edgemnist.json"
"""Member of the file that says what the teacher was made from."""
CHECKPOINT_SUFFIX = ".checkpoint.npz"
ANEW = "Delete it, and the teacher is trained anew."


class Teachers:
    """The teachers of a directory, and the pool that the last one filled: networks of several sizes can share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._filled: tuple[str, Pool] | None = None

    def path_of(self, distillation: Distillation, train: Split, *, classes: int, seed: int) -> Path:
        """Return the file of a teacher, whether it is there or not."""
        record = _record(distillation, train, classes=classes, seed=seed)
        return self._directory / f"teacher-{digest(record)[:8]}.keras"

    def checkpoint_of(self, distillation: Distillation, train: Split, *, classes: int, seed: int) -> Checkpoint:
        """Return the checkpoint of a teacher's training, whether it is there or not."""
        path = self.path_of(distillation, train, classes=classes, seed=seed)
        record = _record(distillation, train, classes=classes, seed=seed)
        return Checkpoint(path.with_suffix(CHECKPOINT_SUFFIX), record)

    def pool(
        self,
        distillation: Distillation,
        train: Split,
        *,
        classes: int,
        seed: int,
        resume: bool,
        reporter: Reporter,
    ) -> tuple[Path, Pool]:
        """Return the file of the teacher, trained now where it is not there yet, and the pool that it labels.

        Raises TrainingError where the file is damaged or belongs to another training, and what `follow` raises.
        """
        from edgemnist.train.pool import Pool

        record = _record(distillation, train, classes=classes, seed=seed)
        path = self.path_of(distillation, train, classes=classes, seed=seed)
        if not path.exists():
            self._train(path, record, distillation, train, seed=seed, resume=resume, reporter=reporter)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}", hint=ANEW) from error
        teacher = read_teacher(data, path, record)
        key = digest(sha256(data), distillation, seed)
        if self._filled is None or self._filled[0] != key:
            # Let go of the old one first: a pool takes a gigabyte.
            self._filled = None
            self._filled = key, Pool(teacher, train.images, distillation, seed)
        return path, self._filled[1]

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
        import numpy as np

        from edgemnist.train.pool import distorted

        classes = int(record["number of classes"])
        checkpoint = self.checkpoint_of(distillation, train, classes=classes, seed=seed)
        training = Training(
            name="Training the teacher",
            forward=teacher_logits,
            weights=first_weights(classes, seed),
            plan=plan_of(distillation.teacher, images=len(train), seed=seed),
            checkpoint=checkpoint,
        )
        course = follow(training, train, resume=resume, reporter=reporter)
        if course.interrupted:
            reporter.notice("Interrupted while the teacher was trained: go on with --resume")
            raise KeyboardInterrupt
        # The moments are those of what it was trained on: distorted images, by half the strength on average.
        shown = train.images[:: max(1, len(train) // MOMENT_IMAGES)]
        if (distortion := distillation.teacher.distortion) is not None:
            half = replace(distortion.scaled(0.5), varied=False)
            shown = distorted(shown, half, np.random.default_rng([seed, 1]))
        write_file(path, _with_record(model_bytes(finished_teacher(course.weights, shown)), record))
        checkpoint.remove()


def _record(distillation: Distillation, train: Split, *, classes: int, seed: int) -> dict[str, str]:
    """Return everything that a teacher depends on, by what a person calls it."""
    return {
        "recipe": digest(distillation.teacher, CONVOLUTIONS),
        "data": split_sha256(train)[:16],
        "number of classes": str(classes),
        "seed": str(seed),
    }


def read_teacher(data: bytes, path: Path, record: Mapping[str, str]) -> keras.Model:
    """Return the teacher of a file's contents. Raises TrainingError where it is damaged, or not what `record` says."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            found = msgspec.json.decode(file.read(RECORD), type=dict[str, str])
    except (zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise TrainingError(f"{path} is damaged, or no teacher", hint=ANEW) from error
    except KeyError as error:
        raise TrainingError(f"{path} is a Keras model, but no teacher that edgemnist trained", hint=ANEW) from error
    for what, wanted in record.items():
        if found.get(what) != wanted:
            raise TrainingError(
                f"{path} is the teacher of another training: its {what} is {found.get(what)}, and here it is {wanted}",
                hint=ANEW,
            )
    try:
        model = decode_keras_model(data, path)
    except ModelError as error:
        raise TrainingError(f"{path} is damaged", hint=ANEW) from error
    if _shapes(model) != _shapes(build_teacher(int(record["number of classes"]))):
        raise TrainingError(f"{path} is a teacher of another shape than this edgemnist trains", hint=ANEW)
    return model


def _with_record(model: bytes, record: Mapping[str, str]) -> bytes:
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a") as file:
        file.writestr(zipfile.ZipInfo(RECORD, ZIP_EPOCH), msgspec.json.encode(dict(record)))
    return stream.getvalue()


def _shapes(model: Any) -> list[tuple[int, ...]]:  # noqa: ANN401 - Keras has no types
    return [tuple(weight.shape) for weight in model.get_weights()]
