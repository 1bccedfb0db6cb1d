"""`edgemnist train`: from a data set to `model.keras`, `training.json` and the curves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgemnist.data.interface import Dataset
from edgemnist.errors import MissingDependencyError
from edgemnist.manifest import MANIFEST_FILE, MODEL_FILE
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Entry, Package
from edgemnist.results import TrainResult
from edgemnist.storage import check_writable, commit_files
from edgemnist.train.checks import ChanceWatch, check_learnable
from edgemnist.train.config import TrainConfig
from edgemnist.train.model import build_model, logits
from edgemnist.train.plan import plan_for
from edgemnist.train.record import Course, describe, read_or_none, updated_manifest

if TYPE_CHECKING:
    from edgemnist.train.model import Weights

OVERHEAD_BYTES = 1_000_000
"""Room for everything beside the weights: file headers, history, picture."""

_LOOP = Entry(
    target="edgemnist.train.loop:fit",
    summary="Training",
    requires=(Package("tensorflow", "tensorflow"), Package("keras", "keras"), Package("matplotlib", "matplotlib")),
    extra="train",
)


def train(dataset: Dataset, config: TrainConfig, exports: Path, reporter: Reporter = SILENT) -> TrainResult:
    """Train a model, and write it with its record into the directory `exports`, all files or none.

    Artifacts of an earlier model stay; their records say which model they belong to. On KeyboardInterrupt the model of
    the last full epoch is kept, and the result says so; before the first epoch is over there is nothing to keep, and
    the interruption is passed on.

    The test images are looked at once, when the training is over.

    Raises TrainingError where the data cannot be learned from or the loss is not a number, StorageError where
    `exports` cannot be written, ManifestError where its manifest cannot be used, and MissingDependencyError where
    TensorFlow is not installed. In each case what was there before is left as it was.
    """
    if missing := _LOOP.missing():
        raise MissingDependencyError(_LOOP.summary, missing, _LOOP.install_line())
    check_learnable(dataset, config.images_per_step)
    read_or_none(exports)

    model = build_model(config.hidden, len(dataset.labels), config.seed)
    check_writable(exports, model.count_params() * np.dtype(np.float32).itemsize + OVERHEAD_BYTES)
    course = _fit(model.get_weights(), dataset, config, reporter)
    model.set_weights(course.weights)
    result, files = describe(model, course, dataset, config)
    manifest = updated_manifest(exports, dataset, result, files[MODEL_FILE])
    commit_files(exports, {**files, MANIFEST_FILE: manifest.encode()})
    return result


def _fit(weights: Weights, dataset: Dataset, config: TrainConfig, reporter: Reporter) -> Course:
    """Train from the first weights on, until the end or Ctrl-C."""
    from edgemnist.train.loop import fit

    parameters = sum(weight.size for weight in weights)
    plan = plan_for(config, images=len(dataset.train), parameters=parameters)
    watch = ChanceWatch(dataset.train, plan.batch_size, reporter)
    started, fitted, interrupted = time.perf_counter(), None, False
    with reporter.task("Training", total=plan.epochs) as task:
        task.update(0, "compiling")
        try:
            for fitted in fit(logits, weights, dataset.train, plan):
                last = fitted.history[-1]
                task.update(last.epoch, f"epoch {last.epoch}  loss {last.loss:.4f}  accuracy {last.accuracy:.2%}")
                watch.see(last)
        except KeyboardInterrupt:
            if fitted is None:
                raise
            interrupted = True
    if fitted is None:
        raise ValueError("a training has one epoch at least")
    if interrupted:
        done = len(fitted.history)
        reporter.notice(f"Interrupted: the model is kept as it was after epoch {done} of {plan.epochs}")
    return Course(
        weights=fitted.state.trained(),
        history=fitted.history,
        interrupted=interrupted,
        seconds=time.perf_counter() - started,
    )
