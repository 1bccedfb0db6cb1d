"""Rounding while training, as the exporters will round: the network learns weights that lose nothing by it.

The rounding is TensorFlow's own fake quantization, whose gradient passes straight through within the clipping limits
(B. Jacob et al., 2018). Weights are rounded symmetrically with a scale for each output, as TFLite's kernels have them;
activations to 8 bits between 0 and the largest of the batch. Pixels have 8 bits from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import tensorflow as tf

    from edgemnist.train.model import Weights

ACTIVATION_BITS = 8
CANDIDATES = np.linspace(0.2, 1.0, 41, dtype=np.float32)
"""Clipping limits to try, as shares of the largest weight."""
SMALLEST_LIMIT = np.float32(1e-6)
"""For an output whose weights are all zero."""


def clipping_limits(weights: Weights, bits: int) -> list[npt.NDArray[np.float32]]:
    """Return, for each kernel, the limits float32 [outputs] at which rounding to `bits` has the least squared error."""
    return [_limits(kernel, bits) for kernel in weights[::2]]


def clipped(weights: Weights, limits: Weights) -> Weights:
    """Return weights whose kernels lie within the limits.

    The largest weight of each output is then its limit, in which exporters find the scale that was trained for.
    """
    kernels = [np.clip(kernel, -limit, limit) for kernel, limit in zip(weights[::2], limits, strict=True)]
    return [part for layer in zip(kernels, weights[1::2], strict=True) for part in layer]


def rounded_weights(weights: Sequence[tf.Tensor], limits: Sequence[tf.Tensor], bits: int) -> list[tf.Tensor]:
    """Return weights whose kernels are rounded to `bits`; biases have 32 bits and stay."""
    import tensorflow as tf

    kernels = [
        tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, -limit, limit, num_bits=bits, narrow_range=True
        )
        for kernel, limit in zip(weights[::2], limits, strict=True)
    ]
    return [part for layer in zip(kernels, weights[1::2], strict=True) for part in layer]


def rounded_activations(values: tf.Tensor) -> tf.Tensor:
    """Return what a ReLU gives, rounded to 8 bits."""
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
