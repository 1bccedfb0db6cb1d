"""Confidences that mean what they say: at the end of a training, the logits are divided by one temperature.

Temperature scaling (C. Guo et al., "On Calibration of Modern Neural Networks", 2017): the temperature is that of least
negative log-likelihood. It goes into kernel and bias of the last layer: the model stays plain Keras, and no answer
changes.

The paper takes held-out images. Here all images are trained on, so their confidences are higher than those of
unseen images should be. The temperature is therefore fitted on training images with new, strong distortions: that comes
nearest to the temperature of held-out images (`benchmarks/training/tried.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

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


ACTIVATION_BITS = 8
CANDIDATES = np.linspace(0.2, 1.0, 41, dtype=np.float32)
"""Clipping limits to try, as shares of the largest weight."""
SMALLEST_LIMIT = np.float32(1e-6)
"""For an output whose weights are all zero."""


def clipping_limits(weights: Weights, bits: int) -> list[npt.NDArray[np.float32]]:
    """Return, for each kernel, the limits float32 [outputs] at which rounding to `bits` has the least squared error."""
    return [_limits(kernel.reshape(-1, bias.size), bits) for kernel, bias in _layers(weights)]


def clipped(weights: Weights, limits: Weights) -> Weights:
    """Return weights whose kernels lie within the limits.

    The largest weight of each output is then its limit, from which exporters find the scale that was trained for.
    """
    kernels = [
        np.clip(kernel.reshape(-1, bias.size), -limit, limit).reshape(kernel.shape)
        for (kernel, bias), limit in zip(_layers(weights), limits, strict=True)
    ]
    return [part for layer in zip(kernels, weights[1::2], strict=True) for part in layer]


def _layers(weights: Weights) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Yield kernel and bias of each layer; of every kernel the last axes have an index for each output."""
    return zip(weights[::2], weights[1::2], strict=True)


def rounded_weights(weights: Sequence[tf.Tensor], limits: Sequence[tf.Tensor], bits: int) -> list[tf.Tensor]:
    """Return weights whose kernels are rounded to `bits`; biases have 32 bits and stay."""
    import tensorflow as tf

    def rounded(kernel: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
        by_output = tf.reshape(kernel, [-1, limit.shape[0]])
        levels = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            by_output, -limit, limit, num_bits=bits, narrow_range=True
        )
        return tf.reshape(levels, kernel.shape)

    kernels = [rounded(kernel, limit) for kernel, limit in zip(weights[::2], limits, strict=True)]
    return [part for layer in zip(kernels, weights[1::2], strict=True) for part in layer]


def rounded_activations(values: tf.Tensor) -> tf.Tensor:
    """Return the output of a ReLU, rounded to 8 bits."""
    import tensorflow as tf

    # Not below, so that a batch in which no unit answers has a range at all.
    largest = tf.maximum(tf.reduce_max(values), SMALLEST_LIMIT)
    return tf.quantization.fake_quant_with_min_max_vars(values, 0.0, largest, num_bits=ACTIVATION_BITS)


def _limits(kernel: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.float32]:
    steps = 2 ** (bits - 1) - 1
    largest = np.maximum(np.abs(kernel).max(axis=0), SMALLEST_LIMIT)
    errors = []
    for share in CANDIDATES:
        step = share * largest / steps
        errors.append(((np.clip(np.rint(kernel / step), -steps, steps) * step - kernel) ** 2).sum(axis=0))
    return np.asarray(CANDIDATES[np.argmin(errors, axis=0)] * largest, np.float32)
