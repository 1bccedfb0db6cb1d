"""`edgemnist train`: from a data set to `model.keras`, `training.json` and the curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.data.dataset import Dataset, split_sha256
from edgemnist.errors import MissingDependencyError
from edgemnist.exports.manifest import MANIFEST_FILE, MODEL_FILE, kept_model
from edgemnist.exports.training import IMAGES_FILE, SOURCE_FILE, DataSource, encode_training_images
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Entry, Package
from edgemnist.results.base import read_result
from edgemnist.results.train import TrainResult
from edgemnist.storage import check_writable, commit_files
from edgemnist.train.checks import check_learnable
from edgemnist.train.model import build_model, logits, parameters_of
from edgemnist.train.recipes import Plan, TrainConfig, plan_for

if TYPE_CHECKING:
    from edgemnist.train.checkpoint import Checkpoint
    from edgemnist.train.distillation import Teachers
    from edgemnist.train.loop import DataSchedule

CHECKPOINT_FILE = "checkpoint.npz"
COPIES = 6
"""Of the weights that a directory must have room for: the model, the one it replaces, and a checkpoint with averages
and two slots."""
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
    replaced by an unfinished one: then, and before the end of the first epoch, the interruption is passed on.

    Raises TrainingError if the data cannot be learned from, the loss is not a number, or a checkpoint or teacher
    cannot be used; StorageError if `exports` cannot be written, ManifestError if its manifest cannot be used, and
    MissingDependencyError without TensorFlow. In each case the files in `exports` stay as they were.
    """
    _require_tensorflow()
    from edgemnist.train.calibration import calibrated
    from edgemnist.train.checkpoint import FitJob, fit_resumably
    from edgemnist.train.record import describe, read_or_none, updated_manifest

    parameters = parameters_of(config.hidden, len(dataset.labels))
    plan = plan_for(config, images=len(dataset.train), parameters=parameters)
    check_learnable(dataset, plan.batch_size)
    read_or_none(exports)
    check_writable(exports, COPIES * parameters * np.dtype(np.float32).itemsize + OVERHEAD_BYTES)

    model = build_model(config.hidden, len(dataset.labels), config.seed)
    checkpoint = _checkpoint(exports, dataset, config, plan)
    if resume and checkpoint.load() is None:
        # Raised before a teacher is trained if the checkpoint cannot be used.
        reporter.notice(f"{exports} has no checkpoint, so the training starts from the beginning.")
    teacher, schedule = _distillation(dataset, config, plan, teachers, exports, resume=resume, reporter=reporter)
    job = FitJob(
        name="Training",
        forward=logits,
        weights=model.get_weights(),
        plan=plan,
        schedule=schedule,
        checkpoint=checkpoint,
    )
    fitted = fit_resumably(job, dataset.train, resume=resume, reporter=reporter)
    if fitted.interrupted:
        epochs = f"after epoch {len(fitted.history)} of {plan.epochs}"
        if has_finished_model(exports):
            reporter.notice(
                f"Interrupted {epochs}. {exports / MODEL_FILE} is still the finished model of before. "
                "Continue this training with --resume."
            )
            raise KeyboardInterrupt
        reporter.notice(f"Interrupted {epochs}: the model was saved as it is. Continue with --resume.")
    temperature = None
    if (distortion := plan.recipe.calibration) is not None:
        weights, temperature = calibrated(fitted.weights, dataset.train, distortion, config.seed)
        fitted = replace(fitted, weights=weights, temperature=temperature)
    model.set_weights(fitted.weights)
    result, files = describe(model, fitted, dataset, config, plan=plan, teacher=teacher)
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
    return result


def has_finished_model(exports: Path) -> bool:
    """Return whether a directory has a Keras model that no interrupted training left there."""
    from edgemnist.train.record import TRAINING_FILE, read_or_none

    manifest = read_or_none(exports)
    if manifest is None or manifest.model is None or not (exports / MODEL_FILE).exists():
        return (exports / MODEL_FILE).exists()
    try:
        trained = read_result(TrainResult, (exports / TRAINING_FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return True
    return not (trained.interrupted and trained.sha256 == manifest.model.sha256)


def can_resume(dataset: Dataset, config: TrainConfig, exports: Path, teachers: Teachers, reporter: Reporter) -> bool:
    """Return whether `train` can continue from a checkpoint of this very training or of its teacher.

    One that is damaged or belongs to another training is set aside, with a notice. Raises MissingDependencyError
    without TensorFlow.
    """
    _require_tensorflow()
    classes = len(dataset.labels)
    plan = plan_for(config, images=len(dataset.train), parameters=parameters_of(config.hidden, classes))
    checkpoints = [_checkpoint(exports, dataset, config, plan)]
    if (distillation := plan.recipe.distillation) is not None:
        seed = config.resolved_teacher_seed
        checkpoints.append(teachers.checkpoint_of(distillation, dataset.train, classes=classes, seed=seed))
    # Each is looked at, whatever the others say.
    usable = [checkpoint.usable(reporter) for checkpoint in checkpoints]
    return any(usable)


def _require_tensorflow() -> None:
    if missing := _LOOP.missing():
        raise MissingDependencyError(_LOOP.summary, missing, _LOOP.install_line())


def _distillation(
    dataset: Dataset,
    config: TrainConfig,
    plan: Plan,
    teachers: Teachers | None,
    exports: Path,
    *,
    resume: bool,
    reporter: Reporter,
) -> tuple[str | None, DataSchedule | None]:
    """Return the file of the teacher and what each epoch learns from it, if the recipe has a teacher."""
    if plan.recipe.distillation is None:
        return None, None
    from edgemnist.train.distillation import Teachers

    path, copies = (teachers or Teachers(exports)).copies(
        plan.recipe.distillation,
        dataset.train,
        classes=len(dataset.labels),
        seed=config.resolved_teacher_seed,
        resume=resume,
        reporter=reporter,
    )
    return path.name, copies.schedule(config.seed)


def _checkpoint(exports: Path, dataset: Dataset, config: TrainConfig, plan: Plan) -> Checkpoint:
    from edgemnist.train.checkpoint import Checkpoint

    identity = {
        "recipe": config.recipe,
        "network": "-".join(map(str, (IMAGE_SIDE**2, *config.hidden, len(dataset.labels)))),
        "number of epochs": str(plan.epochs),
        "batch size": str(plan.batch_size),
        "seed": str(config.seed),
        "teacher's seed": str(config.resolved_teacher_seed),
        "data": split_sha256(dataset.train)[:16],
        "version of the recipe": plan.recipe_version,
    }
    return Checkpoint(exports / CHECKPOINT_FILE, identity)
