"""What happens in one step, as TensorFlow operations, and the random numbers that an epoch of them needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.train.augment import Distortion, restroke, warp
from edgemnist.train.calibration import rounded_activations, rounded_weights
from edgemnist.train.recipes import Distillation, Plan, Rounding

BANK = 16
"""Batches of noise drawn for an epoch; each step takes one of them. Drawing normal numbers for every step would take as
long as training on them."""


class NoiseSamples(NamedTuple):
    """Noise; all arrays are empty without noise."""

    bank: npt.NDArray[np.float32]
    """float32 [M, noisy images, 28, 28], standard normal."""
    places: npt.NDArray[np.int32]
    """int32 [steps], which of the bank each step takes."""
    sigmas: npt.NDArray[np.float32]
    """float32 [steps, noisy images]."""


class Randomness(NamedTuple):
    """The random numbers of one epoch."""

    order: npt.NDArray[np.int32]
    """int32 [steps, batch], indices of the images; its end is filled up with image 0, which does not count."""
    coefficients: npt.NDArray[np.float32]
    """float32 [steps, batch, 2, fields], see `augment.Coefficients`; empty where nothing is distorted."""
    strokes: npt.NDArray[np.float32]
    """float32 [steps, batch]; empty where strokes stay as they are."""
    noise: NoiseSamples


def draw_randomness(plan: Plan, epoch: int, images: int) -> Randomness:
    """Return the random numbers of an epoch, counted from 1, over so many images: the same for the same seed."""
    rng = np.random.default_rng([plan.seed, epoch])
    order = np.zeros((ceil(images / plan.batch_size), plan.batch_size), np.int32)
    order.flat[:images] = rng.permutation(images)
    steps, nothing = len(order), np.empty((len(order), 0), np.float32)
    coefficients = strokes = nothing
    if plan.distortion is not None:
        drawn = plan.distortion.draw(order.size, rng)
        coefficients = drawn.reshape(*order.shape, *drawn.shape[1:])
        if plan.distortion.stroke:
            strokes = plan.distortion.draw_strokes(order.size, rng).reshape(order.shape)
    return Randomness(order, coefficients, strokes, _noise_samples(plan, epoch, steps, rng))


def _noise_samples(plan: Plan, epoch: int, steps: int, rng: np.random.Generator) -> NoiseSamples:
    noise = plan.noise_in(epoch)
    if noise is None:
        return NoiseSamples(np.empty(0, np.float32), np.empty(0, np.int32), np.empty((steps, 0), np.float32))
    noisy = ceil(plan.batch_size * noise.share)
    return NoiseSamples(
        bank=rng.standard_normal((BANK, noisy, IMAGE_SIDE, IMAGE_SIDE), np.float32),
        places=rng.integers(0, BANK, steps, np.int32),
        sigmas=rng.uniform(0, noise.sigma, (steps, noisy)).astype(np.float32),
    )


Forward: TypeAlias = Callable[..., tf.Tensor]
"""Weights and images, float32 [N, 28, 28] in 0..1, to logits, float32 [N, C]; where a recipe rounds, with what to do
to the values of hidden layers as a third argument, see `model.logits`."""


class Objective(NamedTuple):
    """What is to be learned."""

    forward: Forward
    distillation: Distillation | None
    rounding: Rounding | None


class Batch(NamedTuple):
    """What one step learns from."""

    images: tf.Tensor
    """float32 [B, 28, 28] in 0..1."""
    labels: tf.Tensor
    """int32 [B]."""
    targets: tf.Tensor | None
    """float32 [B, C], the teacher's logits; None without a teacher."""
    counted: tf.Tensor
    """float32 [B], 1 for each image and 0 for what fills up the last batch."""


def distort(images: tf.Tensor, randomness: Randomness, index: tf.Tensor, distortion: Distortion | None) -> tf.Tensor:
    """Return the images, float32 [B, 28, 28], of step `index`, distorted as was drawn."""
    if distortion is None:
        return images
    images = warp(images, randomness.coefficients[index], distortion)
    return restroke(images, randomness.strokes[index]) if distortion.stroke else images


def with_noise(images: tf.Tensor, randomness: Randomness, index: tf.Tensor) -> tf.Tensor:
    """Return the images, float32 [B, 28, 28], of step `index`, the first of them with noise."""
    bank, places, sigmas = randomness.noise
    noisy = sigmas.shape[1]
    spoiled = tf.clip_by_value(images[:noisy] + sigmas[index][:, None, None] * tf.gather(bank, places[index]), 0, 1)
    return tf.concat([spoiled, images[noisy:]], axis=0)


def losses_of(
    objective: Objective, weights: Sequence[tf.Tensor], limits: Sequence[tf.Tensor], batch: Batch
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the logits, float32 [B, C], and the loss of each image, float32 [B].

    With rounding, the losses are the means over its widths, and the logits those of the last width.
    """
    forward, distillation, rounding = objective
    if rounding is None:
        scores = forward(weights, batch.images)
        return scores, _losses(scores, batch, distillation)
    answers = [
        forward(rounded_weights(weights, limits, bits), batch.images, rounded_activations) for bits in rounding.bits
    ]
    return answers[-1], tf.add_n([_losses(scores, batch, distillation) for scores in answers]) / len(answers)


def _losses(scores: tf.Tensor, batch: Batch, distillation: Distillation | None) -> tf.Tensor:
    hard = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.labels, scores)
    if distillation is None or batch.targets is None:
        return hard
    temperature, share = distillation.temperature, distillation.share
    wanted = tf.nn.softmax(batch.targets / temperature)
    # Times the square of the temperature, by which the gradient has become smaller (G. Hinton et al., 2015).
    soft = tf.nn.softmax_cross_entropy_with_logits(wanted, scores / temperature) * temperature**2
    return share * soft + (1 - share) * hard
