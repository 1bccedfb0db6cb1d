"""The pool that a student learns from: distorted copies of the training images, and the teacher's answers to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.arrays import Images
from edgemnist.progress import Reporter
from edgemnist.train.augment import Distortion, restroke, warp
from edgemnist.train.lessons import Lesson, Lessons
from edgemnist.train.recipes import Distillation
from edgemnist.train.teacher import answers

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 500
"""Images that are distorted at a time."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Copies of the training images, each distorted further than the one before."""

    images: npt.NDArray[np.uint8]
    """uint8 [K, N, 28, 28]; the first copy is the images as they are."""
    logits: npt.NDArray[np.float16]
    """float16 [K, N, C], the teacher's answers."""

    def lessons(self, seed: int) -> Lessons:
        """Return lessons that go through the copies in random order, and again in another one."""
        copies = len(self.images)

        def lesson(epoch: int) -> Lesson:
            turn, place = divmod(epoch - 1, copies)
            copy = np.random.default_rng([seed, turn]).permutation(copies)[place]
            return Lesson(tf.constant(self.images[copy]), tf.constant(self.logits[copy]))

        return lesson


def fill_pool(teacher: keras.Model, images: Images, distillation: Distillation, seed: int, reporter: Reporter) -> Pool:
    """Distort the training images, uint8 [N, 28, 28], and ask the teacher about each copy."""
    copies = distillation.copies_for(len(images))
    pool = Pool(
        images=np.empty((copies, *images.shape), np.uint8),
        logits=np.empty((copies, len(images), teacher.output_shape[-1]), np.float16),
    )
    with reporter.task("Asking the teacher", total=copies) as task:
        for copy in range(copies):
            random = np.random.default_rng([seed, copy])
            distortion = distillation.distortion.scaled(copy / (copies - 1))
            pool.images[copy] = distorted(images, distortion, random) if copy else images
            pool.logits[copy] = np.concatenate(list(answers(teacher, pool.images[copy])))
            task.update(copy + 1)
    return pool


def distorted(images: Images, distortion: Distortion, random: np.random.Generator) -> Images:
    """Return distorted images, uint8 [N, 28, 28]."""
    result = np.empty_like(images)
    distort = _compiled(distortion.grid)
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        drawn = distortion.draw(len(batch), random), distortion.draw_strokes(len(batch), random)
        result[start : start + BATCH_SIZE] = distort(tf.constant(batch), *drawn)
    return result


@cache
def _compiled(grid: int) -> Callable[..., tf.Tensor]:
    compiled: Callable[..., tf.Tensor] = tf.function(
        partial(_distort, grid=grid), jit_compile=True, reduce_retracing=True
    )
    return compiled


def _distort(images: tf.Tensor, coefficients: tf.Tensor, strokes: tf.Tensor, grid: int) -> tf.Tensor:
    values = restroke(warp(tf.cast(images, tf.float32) / 255, coefficients, grid), strokes)
    return tf.cast(tf.round(tf.clip_by_value(values, 0, 1) * 255), tf.uint8)
