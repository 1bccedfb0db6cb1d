"""Confidences that mean what they say: at the end of a training, the logits are divided by one temperature.

Temperature scaling (C. Guo et al., "On Calibration of Modern Neural Networks", 2017): the temperature is that of least
negative log-likelihood. It goes into kernel and bias of the last layer: the model stays plain Keras, and no answer
changes.

The paper takes held-out images. Here all images are trained on, so their confidences are higher than those of
unseen images should be. The temperature is therefore fitted on training images with new, strong distortions: that comes
nearest to the temperature of held-out images (`benchmarks/training/tried.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.model.exports.ranges import temperature
from edgemnist.model.task import default_input
from edgemnist.pipeline.data.dataset import Split

if TYPE_CHECKING:
    import tensorflow as tf

    from edgemnist.ground.inputs import InputSpec
    from edgemnist.pipeline.train.augment import Distortion
    from edgemnist.pipeline.train.model import Weights


IMAGES: Final = 10_000
"""Most images to fit on: more no longer change the temperature."""
LEAST, MOST = 1 / 8, 8.0
"""Limits of the temperature: a network beyond them has learned nothing, or everything, and cannot be fitted."""


def calibrated(
    weights: Weights,
    train: Split,
    distortion: Distortion | None,
    seed: int,
    logits: Callable[..., tf.Tensor],
    *,
    spec: InputSpec | None = None,
) -> tuple[Weights, float]:
    """Return the weights with the last layer divided by the temperature, and the temperature.

    `logits` takes weights and what inputs stand for, float32 [N, *shape], which `spec` says.
    """
    from edgemnist.pipeline.train.augment import distorted

    step = max(1, len(train) // IMAGES)
    # A stream of its own: the copies has those of [seed, copy], and the teacher's moments [seed, 1].
    images = train.images[::step]
    if distortion is not None:
        images = distorted(images, distortion, np.random.default_rng([seed, 0, 1]))
    scores = np.asarray(logits(weights, (spec or default_input()).real(images)))
    found = temperature(scores, train.labels[::step], LEAST, MOST)
    *earlier, kernel, bias = weights
    return [*earlier, np.asarray(kernel / np.float32(found)), np.asarray(bias / np.float32(found))], found


BITS: Final = 8
"""Of weights and activations."""
SMALLEST: Final = np.float32(1e-6)
"""Largest weight or activation at the least: of an output whose weights are all zero, and of silent units."""


def rounded_weights(weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return weights whose kernels are rounded as exporters do, each output by itself; biases have 32 bits and stay.

    Gradients pass as if nothing was rounded.
    """
    import tensorflow as tf

    def rounded(kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        # The last axes of every kernel have an index for each output.
        by_output = tf.reshape(kernel, [-1, bias.shape[0]])
        step = tf.maximum(tf.reduce_max(tf.abs(by_output), axis=0), SMALLEST) / (2 ** (BITS - 1) - 1)
        return kernel + tf.stop_gradient(tf.reshape(tf.round(by_output / step) * step, kernel.shape) - kernel)

    layers = zip(weights[::2], weights[1::2], strict=True)
    return [part for kernel, bias in layers for part in (rounded(kernel, bias), bias)]


def rounded_activations(values: tf.Tensor) -> tf.Tensor:
    """Return the output of a ReLU, rounded to 8 bits."""
    import tensorflow as tf

    # Not below, so that a batch in which no unit answers has a range at all.
    largest = tf.maximum(tf.reduce_max(values), SMALLEST)
    return tf.quantization.fake_quant_with_min_max_vars(values, 0.0, largest, num_bits=BITS)
