"""`edgemnist train`: from a data set to `model.keras`, `training.json` and the curves."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgemnist.arrays import Images, Probabilities, batches
from edgemnist.data.dataset import Dataset, Split, split_sha256
from edgemnist.exports.findings import TRAINING_FILE
from edgemnist.exports.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    FileRecord,
    Manifest,
    ModelRecord,
    kept_model,
    read_manifest,
    record_of,
)
from edgemnist.exports.questions import IMAGES_FILE, SOURCE_FILE, DataSource, chance_question, encode_training_images
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Entry, Package
from edgemnist.results import UNREADABLE, read_result
from edgemnist.results.pipeline import TrainResult
from edgemnist.runtimes.keras import model_bytes
from edgemnist.storage import check_writable, commit_files, recover, sha256
from edgemnist.train.checks import check_learnable, conditions
from edgemnist.train.model import weights_sha256
from edgemnist.train.network import short_name
from edgemnist.train.pictures import confusion_png, curves_png, filters_png, mistakes_png
from edgemnist.train.recipes import Plan, TrainConfig, plan_for

if TYPE_CHECKING:
    import keras

    from edgemnist.train.checkpoint import Checkpoint, FitResult
    from edgemnist.train.distillation import Teachers

CHECKPOINT_FILE = "checkpoint.npz"
PICTURES = {
    "curves": "curves.png",
    "confusion matrix": "confusion.png",
    "wrong test digits": "mistakes.png",
    "first layer": "weights.png",
}
"""PNG files by what they show."""

BATCH_SIZE = 1_000
"""Images that the finished model is shown at a time."""
COPIES = 6
"""Copies of the weights that a directory must have room for: the model, the one it replaces, and a checkpoint with
averages and two slots."""
OVERHEAD_BYTES = 2_000_000
"""Room for everything beside the weights: file headers, history, pictures, teacher."""

_LOOP = Entry(
    target="edgemnist.train.loop:fit",
    summary="Training",
    requires=(Package("tensorflow", "tensorflow"), Package("keras", "keras"), Package("matplotlib", "matplotlib")),
    extra="train",
)


def train(
    dataset: Dataset,
    config: TrainConfig,
    exports: Path,
    reporter: Reporter = SILENT,
    *,
    resume: bool = False,
    teachers: Teachers | None = None,
) -> TrainResult:
    """Train a model, and write it with its record into the directory `exports`, all files or none.

    Artifacts of an earlier model stay; their records say which model they belong to. The earlier model itself is kept
    as `previous.keras`. About every second a checkpoint is written, from which `resume` continues; the model is the
    same as without the interruption. `teachers` are those to learn from if the recipe has a teacher; None for those of
    `exports`. The test images are looked at once, after the training.

    On KeyboardInterrupt the model of the last full epoch is kept, and the result says so; but a finished model is never
    replaced by an unfinished one. In that case, and before the end of the first epoch, the interruption is passed on.

    Raises TrainingError if the data cannot be learned from, the loss is not a number, or a checkpoint or teacher
    cannot be used; StorageError if `exports` cannot be written, ManifestError if its manifest cannot be used, and
    MissingDependencyError without TensorFlow. In each case the files in `exports` stay as they were.
    """
    network, classes = config.resolved_network, len(dataset.labels)
    parameters = network.parameters(classes)
    plan = plan_for(config, images=len(dataset.train), parameters=parameters)
    check_learnable(dataset, plan.batch_size)
    read_or_none(exports)
    check_writable(exports, COPIES * parameters * np.dtype(np.float32).itemsize + OVERHEAD_BYTES)
    # To import TensorFlow takes seconds.
    _LOOP.load()
    from edgemnist.train.calibration import calibrated
    from edgemnist.train.checkpoint import fit_resumably
    from edgemnist.train.families import student_of

    student = student_of(network, classes, config.seed)
    checkpoint = _checkpoint(exports, dataset, config, plan)
    if resume and checkpoint.load() is None:
        # Raised before a teacher is trained if the checkpoint cannot be used.
        reporter.notice(f"{exports} has no checkpoint, so the training starts from the beginning.")
    teacher, schedule = None, None
    if plan.recipe.distillation is not None:
        from edgemnist.train.distillation import Teachers

        path, copies = (teachers or Teachers(exports)).copies(
            plan.recipe.distillation,
            dataset.train,
            classes=classes,
            seed=config.resolved_teacher_seed,
            resume=resume,
            reporter=reporter,
        )
        teacher, schedule = path.name, copies.schedule(config.seed)
    fitted = fit_resumably(
        student.forward,
        student.weights,
        dataset.train,
        plan,
        checkpoint,
        name="Training",
        schedule=schedule,
        resume=resume,
        reporter=reporter,
    )
    if fitted.interrupted:
        epochs = f"after epoch {len(fitted.history)} of {plan.epochs}"
        if has_finished_model(exports):
            reporter.notice(
                f"Interrupted {epochs}. {exports / MODEL_FILE} is still the earlier, finished model. "
                "Continue this training with --resume."
            )
            raise KeyboardInterrupt
        reporter.notice(f"Interrupted {epochs}: the model was saved as it is. Continue with --resume.")
    fitted = replace(fitted, weights=student.finished(fitted.weights, dataset.train.images))
    if (distortion := plan.recipe.calibration) is not None:
        weights, temperature = calibrated(fitted.weights, dataset.train, distortion, config.seed, student.logits)
        fitted = replace(fitted, weights=weights, temperature=temperature)
    student.model.set_weights(fitted.weights)
    result, files = describe(student.model, fitted, dataset, config, plan=plan, teacher=teacher)
    manifest = updated_manifest(exports, dataset, result, files[MODEL_FILE])
    source = DataSource(directory=dataset.directory, sha256=dataset.identity.sha256)
    training_data = {
        SOURCE_FILE: msgspec.json.encode(source) + b"\n",
        IMAGES_FILE: encode_training_images(dataset.train.images),
    }
    kept = kept_model(exports, files[MODEL_FILE])
    commit_files(exports, {**kept, **files, **training_data, MANIFEST_FILE: manifest.encode()})
    if not fitted.interrupted:
        checkpoint.remove()
        for doubted in chance_question(result.test_accuracy, len(dataset.labels), len(dataset.test.labels)):
            reporter.notice(doubted)
    return result


def has_finished_model(exports: Path) -> bool:
    """Return whether a directory has a Keras model that no interrupted training left there."""
    manifest = read_or_none(exports)
    if manifest is None or manifest.model is None or not (exports / MODEL_FILE).exists():
        return (exports / MODEL_FILE).exists()
    try:
        trained = read_result(TrainResult, (exports / TRAINING_FILE).read_bytes())
    except (OSError, *UNREADABLE):
        return True
    return not (trained.interrupted and trained.sha256 == manifest.model.sha256)


def can_resume(dataset: Dataset, config: TrainConfig, exports: Path, teachers: Teachers, reporter: Reporter) -> bool:
    """Return whether `train` can continue from a checkpoint of this very training or of its teacher.

    One that is damaged or belongs to another training is set aside, with a notice. Raises MissingDependencyError
    without TensorFlow.
    """
    _LOOP.load()
    classes = len(dataset.labels)
    plan = plan_for(config, images=len(dataset.train), parameters=config.resolved_network.parameters(classes))
    checkpoints = [_checkpoint(exports, dataset, config, plan)]
    if (distillation := plan.recipe.distillation) is not None:
        seed = config.resolved_teacher_seed
        checkpoints.append(teachers.files(distillation, dataset.train, classes=classes, seed=seed)[1])
    # Each is looked at, whatever the others say.
    usable = [checkpoint.usable(reporter) for checkpoint in checkpoints]
    return any(usable)


def _checkpoint(exports: Path, dataset: Dataset, config: TrainConfig, plan: Plan) -> Checkpoint:
    from edgemnist.train.checkpoint import Checkpoint

    network = config.resolved_network
    identity = {
        "recipe": config.recipe,
        "network": short_name(network, len(dataset.labels)),
        "number of epochs": str(plan.epochs),
        "batch size": str(plan.batch_size),
        "seed": str(config.seed),
        "teacher's seed": str(config.resolved_teacher_seed),
        "data": split_sha256(dataset.train)[:16],
        "version of the recipe": plan.recipe_version,
    }
    return Checkpoint(exports / CHECKPOINT_FILE, identity)


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
        network=str(config.resolved_network),
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
    """Return the model's answers to images, uint8 [N, 28, 28]: float32 [N, C]."""
    shown = batches(images, BATCH_SIZE)
    return np.concatenate([np.asarray(model(batch.astype(np.float32) / 255)) for batch in shown])


def accuracy(model: keras.Model, split: Split) -> float:
    """Return the share of the images, 0 to 1, that the model gets right."""
    return float(np.mean(predict_proba(model, split.images).argmax(axis=1) == split.labels))


def read_or_none(exports: Path) -> Manifest | None:
    """Return the manifest of a directory, or None if it has none yet. Raises ManifestError if it is broken."""
    recover(exports)
    return read_manifest(exports) if (exports / MANIFEST_FILE).exists() else None


def updated_manifest(exports: Path, dataset: Dataset, result: TrainResult, model: bytes) -> Manifest:
    """Return the manifest with the new model in it.

    The golden pack and the artifacts stay recorded: `model_sha256` shows that they belong to another model.
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
