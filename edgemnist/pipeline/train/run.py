"""`edgemnist train`: from a data set to `model.keras` and `training.json`."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import UNSET

from edgemnist import __version__
from edgemnist.errors import TrainingError
from edgemnist.ground.arrays import Images, Probabilities, batches
from edgemnist.ground.formatting import percent
from edgemnist.ground.inputs import UNIT
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.registry import Entry, Package
from edgemnist.ground.results import UNREADABLE, read_result
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.storage import check_writable, commit_files, recover, sha256
from edgemnist.model.exports.findings import TRAINING_FILE
from edgemnist.model.exports.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    PREVIOUS_MODEL_FILE,
    FileRecord,
    Manifest,
    ModelRecord,
    kept_model,
    read_manifest,
    way_back,
)
from edgemnist.model.exports.questions import (
    IMAGES_FILE,
    SOURCE_FILE,
    DataSource,
    chance_question,
    encode_training_images,
)
from edgemnist.model.runtimes.keras import model_bytes
from edgemnist.model.task import default_input, is_usual
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.train.model import weights_sha256
from edgemnist.pipeline.train.recipes import Plan, TrainConfig, plan_for, spec_of

if TYPE_CHECKING:
    import keras

    from edgemnist.ground.inputs import InputSpec
    from edgemnist.pipeline.train.distillation import Teachers
    from edgemnist.pipeline.train.loop import FitResult

BATCH_SIZE = 1_000
"""Images that the finished model is shown at a time."""
COPIES = 2
"""Copies of the weights that a directory must have room for: the model, and the one it replaces."""
OVERHEAD_BYTES = 2_000_000
"""Room for everything beside the weights: file headers, history, teacher."""

_LOOP = Entry(
    target="edgemnist.pipeline.train.loop:fit",
    summary="Training",
    requires=(Package("tensorflow", "tensorflow"), Package("keras", "keras")),
    extra="train",
)


def train(
    dataset: Dataset,
    config: TrainConfig,
    exports: Path,
    reporter: Reporter = SILENT,
    *,
    teachers: Teachers | None = None,
) -> TrainResult:
    """Train a model, and write it with its record into the directory `exports`, all files or none.

    Artifacts of an earlier model stay; their records say which model they belong to. The earlier model itself is kept
    as `previous.keras`. `teachers` are those to learn from if the recipe has one; None for those of `exports`. The test
    images are looked at once, after the training.

    Raises TrainingError if the data cannot be learned from, the loss is not a number, or a teacher cannot be used;
    StorageError if `exports` cannot be written, ManifestError if its manifest cannot be used, and
    MissingDependencyError without TensorFlow. In each case, as after Ctrl-C, the files in `exports` stay as they were.
    """
    config = replace(config, task=dataset.task)
    network, classes = config.resolved_network, len(dataset.labels)
    parameters, spec = network.parameters(classes), spec_of(dataset.train.images)
    plan = plan_for(config, images=len(dataset.train), parameters=parameters, spec=spec)
    check_learnable(dataset, plan.batch_size)
    read_or_none(exports)
    check_writable(exports, COPIES * parameters * np.dtype(np.float32).itemsize + OVERHEAD_BYTES)
    # To import TensorFlow takes seconds.
    _LOOP.load()
    from edgemnist.pipeline.train.calibration import calibrated
    from edgemnist.pipeline.train.families import student_of
    from edgemnist.pipeline.train.loop import fit_to_the_end

    student = student_of(network, classes, config.seed, spec)
    teacher, schedule = None, None
    if plan.recipe.distillation is not None:
        from edgemnist.pipeline.train.distillation import Teachers

        path, copies = (teachers or Teachers(exports)).copies(
            plan.recipe.distillation,
            dataset.train,
            classes=classes,
            seed=config.resolved_teacher_seed,
            reporter=reporter,
        )
        teacher, schedule = path.name, copies.schedule(config.seed)
    fitted = fit_to_the_end(
        student.forward,
        student.weights,
        dataset.train,
        plan,
        name="Training",
        schedule=schedule,
        reporter=reporter,
    )
    fitted = replace(fitted, weights=student.finished(fitted.weights, dataset.train.images))
    if (distortion := plan.recipe.calibration) is not None:
        weights, heat = calibrated(fitted.weights, dataset.train, distortion, config.seed, student.logits, spec=spec)
        fitted = replace(fitted, weights=weights, temperature=heat)
    student.model.set_weights(fitted.weights)
    result, files = describe(student.model, fitted, dataset, config, plan=plan, teacher=teacher)
    source = DataSource(directory=dataset.directory, sha256=dataset.identity.sha256)
    files[SOURCE_FILE] = msgspec.json.encode(source) + b"\n"
    files[IMAGES_FILE] = encode_training_images(dataset.train.images)
    files[MANIFEST_FILE] = updated_manifest(exports, dataset, result, files).encode()
    kept, earlier, before = kept_model(exports, files[MODEL_FILE]), _training_of(exports), read_or_none(exports)
    commit_files(exports, {**kept, **files})
    if kept:
        right = ""
        if earlier is not None and earlier.sha256 == sha256(kept[PREVIOUS_MODEL_FILE]):
            right = f" ({percent(earlier.test_accuracy)} of the test images right)"
        way = way_back(exports, (before.model.input_range if before and before.model else None) or UNIT)
        reporter.notice(f"The earlier model{right} is kept as {exports / PREVIOUS_MODEL_FILE}. To get it back: {way}")
    for doubted in chance_question(
        result.test_accuracy, len(dataset.labels), len(dataset.test.labels), noun=dataset.task.input.noun
    ):
        reporter.notice(doubted)
    return result


def check_learnable(dataset: Dataset, batch_size: int) -> None:
    """Raise TrainingError if nobody could tell what was learned, or if the images do not fill a batch."""
    train, test, noun = dataset.train, dataset.test, dataset.task.input.noun
    present = {name: set(np.unique(split.labels).tolist()) for name, split in (("training", train), ("test", test))}
    for name, other in (("training", "test"), ("test", "training")):
        if missing := sorted(present[other] - present[name]):
            raise TrainingError(
                f"The {name} {noun}s lack classes that the {other} {noun}s have: "
                f"{', '.join(dataset.labels[index] for index in missing)}",
                hint=f"Put {noun}s of every class into both splits, or leave those classes out.",
            )
    if len(train) < batch_size:
        raise TrainingError(
            f"The training {noun}s do not fill one batch: {len(train):,} of {batch_size:,}",
            hint=f"Add {noun}s, or make smaller batches with: edgemnist train --batch-size {max(1, len(train) // 8)}",
        )


def _training_of(exports: Path) -> TrainResult | None:
    """Return the record of the training that a directory has; None if it has none that can be read."""
    try:
        return read_result(TrainResult, (exports / TRAINING_FILE).read_bytes())
    except (OSError, *UNREADABLE):
        return None


def describe(
    model: keras.Model, fitted: FitResult, dataset: Dataset, config: TrainConfig, *, plan: Plan, teacher: str | None
) -> tuple[TrainResult, dict[str, bytes]]:
    """Evaluate the finished model, and return the result with the files to write, by name."""
    saved = model_bytes(model)
    result = TrainResult(
        recipe=config.recipe,
        recipe_version=plan.recipe_version,
        hidden=list(config.resolved_network.hidden),
        network=str(config.resolved_network),
        parameters=model.count_params(),
        epochs=len(fitted.history),
        batch_size=plan.batch_size,
        seed=config.seed,
        data=dataset.identity,
        labels=list(dataset.labels),
        train_accuracy=accuracy(model, dataset.train, plan.spec),
        test_accuracy=accuracy(model, dataset.test, plan.spec),
        fit_seconds=fitted.seconds,
        history=list(fitted.history),
        model=MODEL_FILE,
        sha256=sha256(saved),
        weights_sha256=weights_sha256(fitted.weights),
        versions={
            "python": platform.python_version(),
            "numpy": np.__version__,
            "edgemnist": __version__,
            **_LOOP.versions(),
        },
        planned_epochs=plan.epochs,
        teacher=teacher,
        teacher_seed=config.resolved_teacher_seed if teacher is not None else None,
        temperature=fitted.temperature,
        input=UNSET if plan.spec == default_input() else plan.spec,
    )
    return result, {MODEL_FILE: saved, TRAINING_FILE: result.to_json().encode() + b"\n"}


def predict_proba(model: keras.Model, inputs: Images, spec: InputSpec | None = None) -> Probabilities:
    """Return the model's answers to inputs, [N, *shape], float32 [N, C]; `spec` says what they stand for."""
    spec = spec or default_input()
    shown = batches(inputs, spec.at_once(BATCH_SIZE))
    return np.concatenate([np.asarray(model(spec.real(batch))) for batch in shown])


def accuracy(model: keras.Model, split: Split, spec: InputSpec | None = None) -> float:
    """Return the share of the inputs, 0 to 1, that the model gets right."""
    return float(np.mean(predict_proba(model, split.images, spec).argmax(axis=1) == split.labels))


def read_or_none(exports: Path) -> Manifest | None:
    """Return the manifest of a directory, or None if it has none yet. Raises ManifestError if it is broken."""
    recover(exports)
    return read_manifest(exports) if (exports / MANIFEST_FILE).exists() else None


def updated_manifest(exports: Path, dataset: Dataset, result: TrainResult, files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest with the new model in it.

    The golden pack and the artifacts stay recorded: `model_sha256` shows that they belong to another model.
    """
    previous = read_or_none(exports) or Manifest(labels=[])

    def exists(record: FileRecord) -> bool:
        return (exports / record.file).exists()

    return msgspec.structs.replace(
        previous,
        labels=list(dataset.labels),
        task=UNSET if is_usual(dataset.task) else dataset.task,
        data=dataset.identity,
        model=ModelRecord.of(MODEL_FILE, files[MODEL_FILE], parameters=result.parameters, takes=result.input),
        training_images=FileRecord.of(IMAGES_FILE, files[IMAGES_FILE]),
        golden=previous.golden if previous.golden and exists(previous.golden) else None,
        artifacts=[artifact for artifact in previous.artifacts if exists(artifact)],
    )
