"""What a training leaves behind: the files, and their place in the manifest."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgemnist.data.interface import Dataset, Split
from edgemnist.manifest import MANIFEST_FILE, MODEL_FILE, FileRecord, Manifest, ModelRecord, read_manifest, sha256
from edgemnist.results import TrainResult
from edgemnist.storage import recover
from edgemnist.train.config import TrainConfig
from edgemnist.train.course import Course
from edgemnist.train.curves import curves_png
from edgemnist.train.model import weights_sha256
from edgemnist.train.plan import Plan
from edgemnist.train.saving import model_bytes

if TYPE_CHECKING:
    import keras

TRAINING_FILE = "training.json"
CURVES_FILE = "curves.png"

BATCH_SIZE = 1_000
"""Images that the finished model is shown at a time."""


def describe(
    model: keras.Model, course: Course, dataset: Dataset, config: TrainConfig, plan: Plan, teacher: str | None
) -> tuple[TrainResult, dict[str, bytes]]:
    """Evaluate the finished model, and return the result with the files to write, by name."""
    saved = model_bytes(model)
    result = TrainResult(
        recipe=config.recipe,
        hidden=list(config.hidden),
        parameters=model.count_params(),
        epochs=len(course.history),
        batch_size=plan.batch_size,
        seed=config.seed,
        interrupted=course.interrupted,
        data=dataset.identity,
        labels=list(dataset.labels),
        train_accuracy=accuracy(model, dataset.train),
        test_accuracy=accuracy(model, dataset.test),
        fit_seconds=course.seconds,
        history=list(course.history),
        model=MODEL_FILE,
        sha256=sha256(saved),
        weights_sha256=weights_sha256(course.weights),
        pictures={"curves": CURVES_FILE},
        versions=_versions(),
        teacher=teacher,
    )
    return result, {
        MODEL_FILE: saved,
        TRAINING_FILE: result.to_json().encode() + b"\n",
        CURVES_FILE: curves_png(result),
    }


def accuracy(model: keras.Model, split: Split) -> float:
    """Return the share of the images, 0 to 1, that the model gets right."""
    hits = 0
    for start in range(0, len(split), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        answers = np.asarray(model(split.images[batch].astype(np.float32) / 255))
        hits += int(np.count_nonzero(answers.argmax(axis=1) == split.labels[batch]))
    return hits / len(split)


def read_or_none(exports: Path) -> Manifest | None:
    """Return the manifest of a directory, or None where it has none yet. Raises ManifestError where it is broken."""
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
