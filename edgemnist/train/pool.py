"""The pool that a student learns from: distorted copies of the training images, and the teacher's answers to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from edgemnist.arrays import Images
from edgemnist.train.augment import Distortion, restroke, warp
from edgemnist.train.course import Lesson, Lessons
from edgemnist.train.recipes import Distillation
from edgemnist.train.teachers import answers

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 500
"""Images that are distorted at a time."""


class Pool:
    """Copies of the training images, each distorted further than the one before; the first is the images as they are.

    A copy is made when a lesson first needs it, and after `Distillation.uses` lessons it is made anew: what has been
    seen often is learned by heart.
    """

    def __init__(self, teacher: keras.Model, images: Images, distillation: Distillation, seed: int) -> None:
        """Make none of the copies of `images`, uint8 [N, 28, 28], yet."""
        self.copies = distillation.copies_for(len(images))
        self._teacher = teacher
        self._images = images
        self._distillation = distillation
        self._seed = seed
        self._kept: dict[int, tuple[int, Lesson]] = {}
        """Of each copy the last edition, by its number."""

    def lessons(self, seed: int) -> Lessons:
        """Return lessons that go through the copies in random order, and again in another one."""

        def lesson(epoch: int) -> Lesson:
            turn, place = divmod(epoch - 1, self.copies)
            copy = int(np.random.default_rng([seed, turn]).permutation(self.copies)[place])
            return self.copy(copy, turn)

        return lesson

    def copy(self, number: int, turn: int) -> Lesson:
        """Return a copy as it is in a turn, both counted from 0: the images, and the teacher's answers to them."""
        edition = self._distillation.edition_of(number, turn)
        kept = self._kept.get(number)
        if kept is None or kept[0] != edition:
            # Let go of the old one first.
            self._kept.pop(number, None)
            self._kept[number] = edition, self._make(number, edition)
        return self._kept[number][1]

    def _make(self, number: int, edition: int) -> Lesson:
        distortion = self._distillation.distortion.scaled(number / (self.copies - 1))
        random = np.random.default_rng([self._seed, number, edition])
        images = distorted(self._images, distortion, random) if number else self._images
        return Lesson(tf.constant(images), tf.constant(np.concatenate(list(answers(self._teacher, images)))))


def distorted(images: Images, distortion: Distortion, random: np.random.Generator) -> Images:
    """Return distorted images, uint8 [N, 28, 28]."""
    result = np.empty_like(images)
    # What is drawn has nothing to do with how pixels are read: one function for all strengths.
    distort = _compiled(Distortion(grid=distortion.grid, sharp=distortion.sharp))
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        drawn = distortion.draw(len(batch), random), distortion.draw_strokes(len(batch), random)
        result[start : start + BATCH_SIZE] = distort(tf.constant(batch), *drawn)
    return result


@cache
def _compiled(distortion: Distortion) -> Callable[..., tf.Tensor]:
    compiled: Callable[..., tf.Tensor] = tf.function(
        partial(_distort, distortion=distortion), jit_compile=True, reduce_retracing=True
    )
    return compiled


def _distort(images: tf.Tensor, coefficients: tf.Tensor, strokes: tf.Tensor, distortion: Distortion) -> tf.Tensor:
    values = restroke(warp(tf.cast(images, tf.float32) / 255, coefficients, distortion), strokes)
    return tf.cast(tf.round(tf.clip_by_value(values, 0, 1) * 255), tf.uint8)
