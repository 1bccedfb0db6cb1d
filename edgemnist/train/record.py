"""What a training leaves: the evaluation of the model, its pictures, and the record of it all."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.data.dataset import Dataset, Split
from edgemnist.exports.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    FileRecord,
    Manifest,
    ModelRecord,
    read_manifest,
    record_of,
    sha256,
)
from edgemnist.exports.training import IMAGES_FILE, encode_training_images
from edgemnist.results.train import TrainResult
from edgemnist.runtimes.keras import model_bytes
from edgemnist.storage import recover
from edgemnist.train.checkpoint import FitResult
from edgemnist.train.checks import conditions
from edgemnist.train.model import weights_sha256
from edgemnist.train.pictures import confusion_png, curves_png, filters_png, mistakes_png
from edgemnist.train.recipes import Plan, TrainConfig

if TYPE_CHECKING:
    import keras


TRAINING_FILE = "training.json"
PICTURES = {
    "curves": "curves.png",
    "confusion matrix": "confusion.png",
    "wrong test digits": "mistakes.png",
    "first layer": "weights.png",
}
"""PNG files by what they show."""

BATCH_SIZE = 1_000
"""Images that the finished model is shown at a time."""


def describe(
    model: keras.Model, fitted: FitResult, dataset: Dataset, config: TrainConfig, *, plan: Plan, teacher: str | None
) -> tuple[TrainResult, dict[str, bytes]]:
    """Evaluate the finished model, and return the result with the files to write, by name."""
    saved, test = model_bytes(model), dataset.test
    probabilities = predict_proba(model, test.images)
    answers = probabilities.argmax(axis=1)
    # A recipe that trains for noise claims to be robust, so it has to show it.
    shown = conditions(test) if plan.recipe.noise is not None else ()
    result = TrainResult(
        recipe=config.recipe,
        recipe_version=plan.recipe_version,
        hidden=list(config.hidden),
        parameters=model.count_params(),
        epochs=len(fitted.history),
        batch_size=plan.batch_size,
        seed=config.seed,
        interrupted=fitted.interrupted,
        data=dataset.identity,
        labels=list(dataset.labels),
        train_accuracy=accuracy(model, dataset.train),
        test_accuracy=float(np.mean(answers == test.labels)),
        fit_seconds=fitted.seconds,
        history=list(fitted.history),
        model=MODEL_FILE,
        sha256=sha256(saved),
        weights_sha256=weights_sha256(fitted.weights),
        pictures=PICTURES,
        versions=_versions(),
        planned_epochs=plan.epochs,
        teacher=teacher,
        teacher_seed=config.resolved_teacher_seed if teacher is not None else None,
        robustness={name: accuracy(model, split) for name, split in shown},
        temperature=fitted.temperature,
    )
    return result, {
        MODEL_FILE: saved,
        TRAINING_FILE: result.to_json().encode() + b"\n",
        PICTURES["curves"]: curves_png(result),
        PICTURES["confusion matrix"]: confusion_png(test.labels, answers, dataset.labels),
        PICTURES["wrong test digits"]: mistakes_png(test, probabilities, dataset.labels),
        PICTURES["first layer"]: filters_png(fitted.weights),
    }


def predict_proba(model: keras.Model, images: Images) -> Probabilities:
    """Return what the model says of images, uint8 [N, 28, 28]: float32 [N, C]."""
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate([np.asarray(model(images[at : at + BATCH_SIZE].astype(np.float32) / 255)) for at in starts])


def accuracy(model: keras.Model, split: Split) -> float:
    """Return the share of the images, 0 to 1, that the model gets right."""
    return float(np.mean(predict_proba(model, split.images).argmax(axis=1) == split.labels))


def read_or_none(exports: Path) -> Manifest | None:
    """Return the manifest of a directory, or None where it has none yet. Raises ManifestError if it is broken."""
    recover(exports)
    return read_manifest(exports) if (exports / MANIFEST_FILE).exists() else None


def updated_manifest(exports: Path, dataset: Dataset, result: TrainResult, model: bytes) -> Manifest:
    """Return the manifest with the new model in it.

    Golden pack and artifacts that are there stay recorded: `model_sha256` tells that they belong to another model.
    """
    previous = read_or_none(exports) or Manifest(labels=[])

    def exists(record: FileRecord) -> bool:
        return (exports / record.file).exists()

    return msgspec.structs.replace(
        previous,
        labels=list(dataset.labels),
        data=dataset.identity,
        model=ModelRecord(file=MODEL_FILE, bytes=len(model), sha256=result.sha256, parameters=result.parameters),
        training_images=record_of(IMAGES_FILE, encode_training_images(dataset.train.images)),
        golden=previous.golden if previous.golden and exists(previous.golden) else None,
        artifacts=[artifact for artifact in previous.artifacts if exists(artifact)],
    )


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    import edgemnist

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "edgemnist": edgemnist.__version__,
    }
