"""What happens to one batch, as TensorFlow operations: distortion, noise, and the losses of the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from edgemnist.train.augment import Distortion, restroke, warp
from edgemnist.train.calibration import rounded_activations, rounded_weights
from edgemnist.train.draws import Draws
from edgemnist.train.recipes import Distillation, Rounding

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
    """float32 [B, C], the teacher's logits; None where there is no teacher."""
    counted: tf.Tensor
    """float32 [B], 1 for each image and 0 for what fills up the last batch."""


def distort(images: tf.Tensor, draws: Draws, index: tf.Tensor, distortion: Distortion | None) -> tf.Tensor:
    """Return the images, float32 [B, 28, 28], of step `index`, distorted as was drawn."""
    if distortion is None:
        return images
    images = warp(images, draws.coefficients[index], distortion)
    return restroke(images, draws.strokes[index]) if distortion.stroke else images


def with_noise(images: tf.Tensor, draws: Draws, index: tf.Tensor) -> tf.Tensor:
    """Return the images, float32 [B, 28, 28], of step `index`, the first of them with noise."""
    bank, places, sigmas = draws.grains
    noisy = sigmas.shape[1]
    spoiled = tf.clip_by_value(images[:noisy] + sigmas[index][:, None, None] * tf.gather(bank, places[index]), 0, 1)
    return tf.concat([spoiled, images[noisy:]], axis=0)


def losses_of(
    objective: Objective, weights: Sequence[tf.Tensor], limits: Sequence[tf.Tensor], batch: Batch
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the logits, float32 [B, C], and the loss of each image, float32 [B].

    Where there is rounding, the losses are the means over its widths, and the logits those of the last one.
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
