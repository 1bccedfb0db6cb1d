"""Networks of the families: in training, normalized and rounded, and finished, as plain Keras models.

While a network trains, each layer but the last is normalized by the moments of the batch (S. Ioffe and C. Szegedy,
2015); with few levels for a weight, that keeps the sums in their range. A normalization multiplies each output by a
number of its own, and so does the scale that an exporter gives the weights of each output. So the integers of the
weights that were trained are those of the finished network, whatever is folded into their scales.

A weight is rounded to the nearest of evenly spaced levels, as exporters do. Their distance follows from the weights
themselves, by their root mean square in each output: that of least squared error for normally distributed values
(J. Max, "Quantizing for Minimum Distortion", 1960, table II). Gradients pass as if nothing was rounded (Y. Bengio et
al., 2013).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.ground.arrays import Images, batches
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import default_input
from edgemnist.pipeline.train.calibration import rounded_activations
from edgemnist.pipeline.train.model import Weights, build_model, logits
from edgemnist.pipeline.train.network import (
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    LEVELS,
    MAXIMUM,
    MEAN,
    PLANES,
    POINTWISE,
    Network,
    Stage,
)

STEPS: Final = {4: 0.3534, 2: 1.224}
"""Distance of two levels, in root mean squares of the weights, by bits: of 15 levels and of 3."""
PIXELS: Final = 255.0
EPSILON: Final = 1e-3
"""Added to variances, as Keras's BatchNormalization does."""
MOMENT_IMAGES: Final = 10_000
"""Enough images for moments that no longer change the answers."""
BATCH_SIZE: Final = 500
"""Images that a finished network is shown at a time."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Student:
    """A network to be trained, and how it becomes a Keras model."""

    model: keras.Model
    """The model that takes the weights once they are finished."""
    weights: Weights
    """The weights before training."""
    forward: Callable[..., tf.Tensor]
    """The function to train; see `loop.Forward`."""
    logits: Callable[..., tf.Tensor]
    """Finished weights and what inputs stand for, float32 [N, *shape], to logits, float32 [N, C]."""
    finished: Callable[[Weights, Images], Weights]
    """Trained weights and training inputs, [N, *shape], to the weights of the model."""


def student_of(network: Network, classes: int, seed: int, spec: InputSpec | None = None) -> Student:
    """Return the network before its training; `seed` draws its weights, and inputs are as `spec` has them."""
    if network.plain:
        model = build_model(network.hidden, classes, seed, network.image)
        return Student(
            model=model, weights=model.get_weights(), forward=logits, logits=logits, finished=lambda weights, _: weights
        )
    return Student(
        model=build_network(network, classes),
        weights=first_weights(network, classes, seed),
        forward=Forward(network, classes),
        logits=Finished(network),
        finished=partial(finished, network, spec=spec),
    )


def first_weights(network: Network, classes: int, seed: int) -> Weights:
    """Return weights before training (K. He et al., 2015).

    Each layer has its kernel, and scale and offset of its normalization; the last one, kernel and bias.
    """
    rng = np.random.default_rng([seed, classes])
    weights: list[npt.NDArray[np.float32]] = []
    for stage in network.stages(classes):
        if stage.kernel:
            shape, outputs = stage.kernel, stage.target.channels
            kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / (prod(shape) // outputs)))
            weights += [kernel, np.ones(outputs, np.float32), np.zeros(outputs, np.float32)]
    kernel, _, bias = weights[-3:]
    return [*weights[:-3], kernel / np.float32(np.sqrt(2)), bias]


@dataclass(frozen=True)
class Forward:
    """The network in training: weights, as `first_weights` has them, and images to logits."""

    network: Network
    classes: int

    def __call__(self, weights: Sequence[tf.Tensor], images: tf.Tensor, bits: int | None = None) -> tf.Tensor:
        """Return the logits, float32 [N, C], for what inputs stand for, float32 [N, *shape].

        With `bits`, weights and activations are rounded as exporters do.
        """
        values, left = taken_in(images, self.network), list(weights)
        for stage in self.network.stages(self.classes):
            if not stage.kernel:
                values = pooled(stage, values)
                continue
            kernel = left.pop(0)
            sums = applied(stage, values, kernel if bits is None else rounded_kernel(stage, kernel, bits))
            if len(left) == 1:
                return sums + left.pop(0)
            mean, variance = tf.nn.moments(sums, axes=list(range(len(sums.shape) - 1)))
            gain = left.pop(0) * tf.math.rsqrt(variance + EPSILON)
            values = tf.nn.relu(sums * gain + (left.pop(0) - mean * gain))
            values = values if bits is None else rounded_activations(values)
        raise ValueError("the last layer has weights")


def taken_in(images: tf.Tensor, network: Network) -> tf.Tensor:
    """Return images, float32 [N, *shape], cropped, averaged to [N, height, width, channels] and rounded to 8 bits.

    Only pixels in 0..1 are averaged.
    """
    each, (height, width, channels) = network.averaged, network.places
    if len(network.image) not in PLANES:
        return tf.reshape(images, [-1, height, width, channels])
    rows, columns = (slice(network.rim, size - network.rim) for size in network.image[:2])
    images = images[:, rows, columns]
    if each == 1:
        return images if len(network.image) == len(network.places) else images[..., None]
    means = tf.reduce_mean(tf.reshape(images, [-1, height, each, width, each, channels]), [2, 4])
    return tf.floor(means * PIXELS + 0.5) / PIXELS


def pooled(stage: Stage, values: tf.Tensor) -> tf.Tensor:
    """Return the output of a layer without weights for values, float32 [N, height, width, channels]."""
    if stage.layer.kind == MAXIMUM:
        return tf.nn.max_pool2d(values, stage.layer.stride, stage.layer.stride, "VALID")
    return tf.reduce_mean(values, [1, 2], keepdims=True)


def applied(stage: Stage, values: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return the sums of a layer with weights, before anything is added."""
    stride = stage.layer.stride
    if stage.layer.kind == DENSE:
        return tf.reshape(values, [-1, stage.source.size]) @ kernel
    if stage.layer.kind == DEPTHWISE:
        return tf.nn.depthwise_conv2d(values, kernel, [1, stride, stride, 1], "VALID")
    return tf.nn.conv2d(values, kernel, stride, stage.layer.padding)


def rounded_kernel(stage: Stage, kernel: tf.Tensor, bits: int) -> tf.Tensor:
    """Return weights rounded to `bits` bits, each output by itself."""
    axes = [axis for axis in range(len(stage.kernel)) if axis != output_axis(stage)]
    if bits in STEPS:
        step = STEPS[bits] * tf.sqrt(tf.reduce_mean(kernel**2, axes, keepdims=True))
    else:
        step = tf.reduce_max(tf.abs(kernel), axes, keepdims=True) / LEVELS[bits]
    # Not below, for an output whose weights are all zero.
    step = tf.maximum(step, np.finfo(np.float32).tiny)
    levels = tf.clip_by_value(tf.round(kernel / step), -LEVELS[bits], LEVELS[bits])
    return kernel + tf.stop_gradient(levels * step - kernel)


def output_axis(stage: Stage) -> int:
    """Return the axis of a kernel that has an index for each output."""
    return len(stage.kernel) - (2 if stage.layer.kind == DEPTHWISE else 1)


def finished(
    network: Network, weights: Weights, images: Images, *, spec: InputSpec | None = None, rounded: bool = True
) -> Weights:
    """Return trained weights, rounded if that is wanted, with the normalization folded in, as the Keras model has them.

    Layers are normalized by their moments over `images`, [N, *shape], of which `spec` says what they stand for.
    """
    spec = spec or default_input()
    shown = images[:: max(1, len(images) // MOMENT_IMAGES)]
    tensors = [taken_in(tf.constant(spec.real(batch)), network) for batch in batches(shown, BATCH_SIZE)]
    folded: list[npt.NDArray[np.float32]] = []
    left = list(weights)
    for stage in network.stages(int(weights[-1].size)):
        if not stage.kernel:
            tensors = [pooled(stage, values) for values in tensors]
            continue
        kernel = tf.constant(left.pop(0))
        kernel = rounded_kernel(stage, kernel, network.bits) if rounded else kernel
        if len(left) == 1:
            return [*folded, np.asarray(kernel), left.pop(0)]
        tensors = [applied(stage, values, kernel) for values in tensors]
        axes, count = tuple(range(len(tensors[0].shape) - 1)), sum(len(values) for values in tensors)
        mean = sum(tf.reduce_mean(values, axes) * len(values) for values in tensors) / count
        variance = sum(tf.reduce_mean((values - mean) ** 2, axes) * len(values) for values in tensors) / count
        gain = left.pop(0) / np.sqrt(np.asarray(variance, np.float32) + np.float32(EPSILON))
        bias = left.pop(0) - np.asarray(mean, np.float32) * gain
        shape = [-1 if axis == output_axis(stage) else 1 for axis in range(len(stage.kernel))]
        folded += [np.asarray(kernel) * gain.reshape(shape), bias]
        tensors = [tf.nn.relu(values * gain + bias) for values in tensors]
    raise ValueError("the last layer has weights")


@dataclass(frozen=True)
class Finished:
    """The finished network: weights of the Keras model, and what inputs stand for, to the inputs of its softmax."""

    network: Network

    def __call__(
        self, weights: Sequence[tf.Tensor], images: tf.Tensor, rounded: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Return the logits, float32 [N, C], for float32 [N, *shape]; `rounded` is applied to each hidden layer."""
        values, left = taken_in(images, self.network), list(weights)
        for stage in self.network.stages(int(weights[-1].shape[0])):
            if not stage.kernel:
                values = pooled(stage, values)
                continue
            values = applied(stage, values, left.pop(0)) + left.pop(0)
            values = tf.nn.relu(values) if left else values
            values = rounded(values) if left and rounded is not None else values
        return values


def finished_form(network: Network) -> Callable[..., tf.Tensor]:
    """Return the function of a network's finished weights; equal ones are compiled once."""
    return logits if network.plain else Finished(network)


def build_network(
    network: Network, classes: int, *, name: str = "edgemnist", answers: str = "probabilities"
) -> keras.Model:
    """Return the Keras model without weights. It takes float32 [N, *shape] and gives float32 [N, classes].

    `answers` are `probabilities` or `logits`.
    """
    import keras

    layers: list[keras.layers.Layer] = [keras.Input(network.image, name="image")]
    if len(network.image) == 2:  # noqa: PLR2004 - without channels
        layers.append(keras.layers.Reshape((*network.image, 1), name="channel"))
    if network.rim:
        layers.append(keras.layers.Cropping2D(network.rim, name="crop"))
    if network.averaged > 1:
        layers.append(keras.layers.AveragePooling2D(network.averaged, name="average"))
    flat = len(network.image) == 1
    *inner, _ = network.stages(classes)
    for number, stage in enumerate(inner, start=1):
        if stage.layer.kind == DENSE and not flat:
            layers.append(keras.layers.Flatten(name="flatten"))
            flat = True
        layers.append(_keras_layer(stage, f"{stage.layer.kind}_{number}"))
    if not flat:
        layers.append(keras.layers.Flatten(name="flatten"))
    layers.append(keras.layers.Dense(classes, "softmax" if answers == "probabilities" else None, name=answers))
    return keras.Sequential(layers, name=name)


def _keras_layer(stage: Stage, name: str) -> keras.layers.Layer:
    import keras

    kind, units, stride, _, padding = stage.layer
    if kind == MAXIMUM:
        return keras.layers.MaxPooling2D(stride, name=name)
    if kind == MEAN:
        return keras.layers.AveragePooling2D(stage.source[:2], name=name)
    if kind == DEPTHWISE:
        return keras.layers.DepthwiseConv2D(stage.kernel[:2], strides=stride, activation="relu", name=name)
    if kind in {CONVOLUTION, POINTWISE}:
        return keras.layers.Conv2D(units, stage.kernel[:2], stride, padding.lower(), activation="relu", name=name)
    return keras.layers.Dense(units, activation="relu", name=name)
