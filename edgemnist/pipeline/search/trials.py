"""One trial: a short training, judged on images that it has not seen, and stopped early if that is not worth it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.errors import DataError, TrainingError
from edgemnist.ground.arrays import batches
from edgemnist.ground.formatting import percent
from edgemnist.model.task import Task, default_task
from edgemnist.pipeline.data.dataset import Dataset, Split, stratified_indices
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import TrainConfig, plan_for, spec_of

if TYPE_CHECKING:
    from edgemnist.ground.inputs import InputSpec
    from edgemnist.ground.progress import Reporter
    from edgemnist.pipeline.train.distillation import AugmentedCopies
    from edgemnist.pipeline.train.families import Student
    from edgemnist.pipeline.train.model import Weights
    from edgemnist.pipeline.train.recipes import Distillation

SELECTION_IMAGES: Final = 5_000
"""The last of the training images: networks are chosen by them, and not trained on them."""
SELECTION_SHARE: Final = 0.2
"""Largest share of the training images to select by."""
RUNGS: Final = (9, 3)
"""A training is judged after a ninth and after a third of its epochs."""
BATCH_SIZE: Final = 500


@dataclass(frozen=True, eq=False, kw_only=True)
class TrialData:
    """What every trial of a search learns from and is judged by."""

    train: Split
    selection: Split
    classes: int
    task: Task = field(default_factory=default_task)
    teacher: bytes | None = None
    """The file of the teacher; None if the recipe has none."""
    seed: int = 0
    """Seed of the images that the teacher labels."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One trial."""

    network: str
    recipe: str
    epochs: int
    seed: int
    bars: tuple[float, ...] = ()
    """The training is stopped at a rung where it is less accurate, 0 to 1."""

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which it is judged, the last one included."""
        return rungs_of(self.epochs)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial went."""

    accuracies: tuple[float, ...]
    """Accuracy after each rung, 0 to 1, on the selection images."""
    stopped: bool
    seconds: float
    """Processor time."""


def rungs_of(epochs: int) -> tuple[int, ...]:
    """Return the epochs after which a training of this many is judged; a short one has fewer rungs."""
    return tuple(sorted({*(ceil(epochs / part) for part in RUNGS), epochs}))


def split_for_selection(dataset: Dataset) -> tuple[Split, Split]:
    """Return the images to train on and those to choose by, the last of the training images.

    Where these lack a class, as in a set that is sorted, as many are drawn evenly. Raises DataError for too few images.
    """
    train = dataset.train
    count = min(SELECTION_IMAGES, int(SELECTION_SHARE * len(train)))
    if count < len(dataset.labels):
        raise DataError(
            f"{len(train):,} training {dataset.task.input.noun}s are too few to search with",
            hint=f"{percent(SELECTION_SHARE, 0)} of them choose the network, and must include one of each class.",
        )
    chosen = np.arange(len(train) - count, len(train))
    if set(train.labels[chosen].tolist()) != set(train.labels.tolist()):
        chosen = stratified_indices(train.labels, count, seed=0)
    return train.take(np.setdiff1d(np.arange(len(train)), chosen)), train.take(chosen)


class Trainer:
    """Runs trials. Images that the teacher labels are kept for the next one."""

    def __init__(self, data: TrialData) -> None:
        self.data = data
        self._copies: tuple[Distillation, AugmentedCopies] | None = None

    def run(self, job: Job) -> Outcome:
        """Train, and judge at each rung. A training whose loss is not a number counts as one that learned nothing.

        The same job gives the same accuracies, in whatever process.
        """
        from edgemnist.pipeline.train.families import student_of
        from edgemnist.pipeline.train.loop import fit

        started = time.process_time()
        network = Network.parse(job.network, self.data.train.images.shape[1:])
        config = TrainConfig(recipe=job.recipe, task=self.data.task, network=network, epochs=job.epochs, seed=job.seed)
        parameters, spec = network.parameters(self.data.classes), spec_of(self.data.train.images)
        plan = plan_for(config, images=len(self.data.train), parameters=parameters, spec=spec)
        student = student_of(network, self.data.classes, job.seed, spec)
        schedule = None
        if plan.recipe.distillation is not None:
            schedule = self._copies_for(plan.recipe.distillation).schedule(job.seed)
        accuracies: list[float] = []
        stopped = False
        try:
            for fitted in fit(student.forward, student.weights, self.data.train, plan, schedule=schedule):
                if len(fitted.history) not in job.rungs:
                    continue
                accuracies.append(self._accuracy(student, fitted.state.trained(), spec))
                bar = job.bars[len(accuracies) - 1] if len(accuracies) <= len(job.bars) else 0.0
                if accuracies[-1] < bar and len(accuracies) < len(job.rungs):
                    stopped = True
                    break
        except TrainingError:
            stopped = True
        return Outcome(accuracies=tuple(accuracies), stopped=stopped, seconds=time.process_time() - started)

    def _accuracy(self, student: Student, weights: Weights, spec: InputSpec) -> float:
        """Return the share of the selection images that the finished network gets right."""
        import tensorflow as tf

        finished = student.finished(weights, self.data.train.images)
        shown = map(spec.real, batches(self.data.selection.images, BATCH_SIZE))
        answers = [np.asarray(student.logits(finished, tf.constant(batch))) for batch in shown]
        return float(np.mean(np.concatenate(answers).argmax(axis=1) == self.data.selection.labels))

    def _copies_for(self, distillation: Distillation) -> AugmentedCopies:
        from edgemnist.model.runtimes.keras import decode_keras_model
        from edgemnist.pipeline.train.distillation import AugmentedCopies

        if self.data.teacher is None:
            raise ValueError("a recipe that distils needs a teacher")
        if self._copies is None or self._copies[0] != distillation:
            # Let go of the old ones first: the copies take a gigabyte.
            self._copies = None
            model = decode_keras_model(self.data.teacher, Path("teacher.keras"))
            self._copies = distillation, AugmentedCopies(model, self.data.train.images, distillation, self.data.seed)
        return self._copies[1]


def teacher_of(train: Split, classes: int, config: TrainConfig, *, directory: Path, reporter: Reporter) -> Path | None:
    """Return the file of a recipe's teacher, which is trained first unless `directory` has it; None without one.

    Raises what `Teachers.copies` raises.
    """
    distillation = config.resolved_recipe.distillation
    if distillation is None:
        return None
    from edgemnist.pipeline.train.distillation import Teachers

    teachers = Teachers(directory)
    return teachers.copies(distillation, train, classes=classes, seed=config.seed, reporter=reporter)[0]
