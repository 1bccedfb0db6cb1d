"""The course of a training: epoch by epoch with progress and checkpoints, until the end or Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import tensorflow as tf

from edgemnist.data.dataset import Split
from edgemnist.progress import Reporter
from edgemnist.results.train import Epoch
from edgemnist.train.checkpoint import Checkpoint
from edgemnist.train.checks import ChanceWatch
from edgemnist.train.plan import Plan

if TYPE_CHECKING:
    from edgemnist.train.model import Weights
    from edgemnist.train.step import Forward


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training went."""

    weights: Weights
    """To keep."""
    history: tuple[Epoch, ...]
    interrupted: bool
    seconds: float
    """Of all epochs, and of compiling; those before an interruption included."""
    temperature: float | None = None
    """By which the logits were divided, once that is done."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is to be trained."""

    name: str
    """For the progress, such as `Training`."""
    forward: Forward
    weights: Weights
    """The first ones."""
    plan: Plan
    lessons: Lessons | None = None
    checkpoint: Checkpoint


def follow(training: Training, train: Split, *, resume: bool, reporter: Reporter) -> Course:
    """Train, or go on where a checkpoint was left, which is told.

    On KeyboardInterrupt the course ends with the last full epoch; before the first one is over, there is nothing to
    keep, and the interruption is passed on. Raises TrainingError where the loss is not a number, or where the
    checkpoint is damaged or belongs to another training.
    """
    from edgemnist.train.loop import fit

    plan, checkpoint = training.plan, training.checkpoint
    resumed = checkpoint.load() if resume else None
    if resumed is not None:
        reporter.notice(f"Going on after epoch {len(resumed.history)} of {plan.epochs}")
    elif not resume and checkpoint.path.exists():
        reporter.notice(
            "An interrupted training is given up: this one starts anew. --resume would have gone on with it"
        )
    watch = ChanceWatch(train, plan.batch_size, reporter)
    before = sum(epoch.seconds for epoch in resumed.history) if resumed else 0.0
    started, fitted, interrupted = time.perf_counter(), resumed, False
    with reporter.task(training.name, total=plan.epochs) as task:
        task.update(len(resumed.history) if resumed else 0, "compiling")
        try:
            epochs = fit(training.forward, training.weights, train, plan, lessons=training.lessons, resumed=resumed)
            for fitted in epochs:
                last = fitted.history[-1]
                checkpoint.save(fitted)
                task.update(last.epoch, f"epoch {last.epoch}  loss {last.loss:.4f}  accuracy {last.accuracy:.2%}")
                watch.see(last)
        except KeyboardInterrupt:
            if fitted is None:
                raise
            interrupted = True
    if fitted is None:
        raise ValueError("a training has one epoch at least")
    return Course(
        weights=fitted.state.trained(),
        history=fitted.history,
        interrupted=interrupted,
        seconds=before + time.perf_counter() - started,
    )


class Lesson(NamedTuple):
    """The training images as one epoch sees them, in their order."""

    images: tf.Tensor
    """uint8 [N, 28, 28]."""
    targets: tf.Tensor
    """float16 [N, C], a teacher's logits; empty where there is none."""


Lessons: TypeAlias = Callable[[int], Lesson]
"""From the number of an epoch, counted from 1, to its lesson: always the same for the same number."""


def unchanged(train: Split) -> Lessons:
    """Return lessons that show the images as they are."""
    lesson = Lesson(tf.constant(train.images), tf.zeros([len(train), 0], tf.float16))
    return lambda _: lesson
