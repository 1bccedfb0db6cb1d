"""`edgemnist train`: from a data set to `model.keras`, `training.json` and the curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.data.dataset import Dataset, split_sha256
from edgemnist.errors import MissingDependencyError
from edgemnist.exports.manifest import MANIFEST_FILE, MODEL_FILE
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Entry, Package
from edgemnist.results.train import TrainResult
from edgemnist.storage import check_writable, commit_files
from edgemnist.train.calibration import calibrated
from edgemnist.train.checkpoint import Checkpoint
from edgemnist.train.checks import check_learnable
from edgemnist.train.course import Training, follow
from edgemnist.train.model import build_model, logits, parameters_of
from edgemnist.train.plan import Plan, plan_for
from edgemnist.train.recipes import TrainConfig
from edgemnist.train.record import describe, read_or_none, updated_manifest

if TYPE_CHECKING:
    from edgemnist.train.course import Lessons
    from edgemnist.train.teachers import Teachers

CHECKPOINT_FILE = "checkpoint.npz"
COPIES = 5
"""Of the weights that a directory has to have room for: the model, and a checkpoint with averages and two slots."""
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

    Artifacts of an earlier model stay; their records say which model they belong to. After each epoch a checkpoint is
    written, which `resume` goes on from; the model is the same as without the interruption. On KeyboardInterrupt the
    model of the last full epoch is kept, and the result says so; before the first epoch is over there is nothing to
    keep, and the interruption is passed on. `teachers` are those to learn from where the recipe has a teacher; None
    for those of `exports`.

    The test images are looked at once, when the training is over.

    Raises TrainingError where the data cannot be learned from, the loss is not a number, or a checkpoint or teacher
    cannot be used; StorageError where `exports` cannot be written, ManifestError where its manifest cannot be used,
    and MissingDependencyError where TensorFlow is not installed. In each case what was there before is left as it was.
    """
    _require_tensorflow()
    parameters = parameters_of(config.hidden, len(dataset.labels))
    plan = plan_for(config, images=len(dataset.train), parameters=parameters)
    check_learnable(dataset, plan.batch_size)
    read_or_none(exports)
    check_writable(exports, COPIES * parameters * np.dtype(np.float32).itemsize + OVERHEAD_BYTES)

    model = build_model(config.hidden, len(dataset.labels), config.seed)
    checkpoint = _checkpoint(exports, dataset, config, plan)
    if resume and not checkpoint.path.exists():
        reporter.notice(f"{exports} holds no checkpoint of a model: its training starts from the beginning")
    elif resume:
        # A checkpoint that cannot be used is told before a teacher is trained.
        checkpoint.load()
    teacher, lessons = _lessons(dataset, config, plan, teachers, exports, resume=resume, reporter=reporter)
    training = Training(
        name="Training",
        forward=logits,
        weights=model.get_weights(),
        plan=plan,
        lessons=lessons,
        checkpoint=checkpoint,
    )
    course = follow(training, dataset.train, resume=resume, reporter=reporter)
    if course.interrupted:
        done = len(course.history)
        reporter.notice(
            f"Interrupted: the model is kept as it was after epoch {done} of {plan.epochs}; go on with --resume"
        )
    temperature = None
    if (distortion := plan.recipe.calibration) is not None:
        weights, temperature = calibrated(course.weights, dataset.train, distortion, config.seed)
        course = replace(course, weights=weights, temperature=temperature)
    model.set_weights(course.weights)
    result, files = describe(model, course, dataset, config, plan=plan, teacher=teacher)
    manifest = updated_manifest(exports, dataset, result, files[MODEL_FILE])
    commit_files(exports, {**files, MANIFEST_FILE: manifest.encode()})
    if not course.interrupted:
        checkpoint.remove()
    return result


def can_resume(dataset: Dataset, config: TrainConfig, exports: Path, teachers: Teachers, reporter: Reporter) -> bool:
    """Return whether there is a checkpoint of this very training, or of its teacher, for `train` to go on from.

    One that is damaged or belongs to another training is told of and deleted. Raises MissingDependencyError where
    TensorFlow is not installed.
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


def _lessons(
    dataset: Dataset,
    config: TrainConfig,
    plan: Plan,
    teachers: Teachers | None,
    exports: Path,
    *,
    resume: bool,
    reporter: Reporter,
) -> tuple[str | None, Lessons | None]:
    """Return the teacher's file and its lessons, where the recipe has a teacher."""
    if plan.recipe.distillation is None:
        return None, None
    from edgemnist.train.teachers import Teachers

    path, pool = (teachers or Teachers(exports)).pool(
        plan.recipe.distillation,
        dataset.train,
        classes=len(dataset.labels),
        seed=config.resolved_teacher_seed,
        resume=resume,
        reporter=reporter,
    )
    return path.name, pool.lessons(config.seed)


def _checkpoint(exports: Path, dataset: Dataset, config: TrainConfig, plan: Plan) -> Checkpoint:
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
