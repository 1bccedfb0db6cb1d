"""The teacher: a small convolutional network that is more accurate than any perceptron, and never leaves this machine.

While it trains, its layers are normalized by the moments of the batch (S. Ioffe and C. Szegedy, 2015). Once it is
trained, the moments of many images are folded into the kernels, and what is left is a plain Keras model of Conv2D,
ReLU, Flatten and Dense, which answers with logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from edgemnist.train.model import Weights


EPSILON = 1e-3
"""Added to variances, as Keras's BatchNormalization does."""
PER_CONVOLUTION = 3
"""Weights of a convolution while training: kernel, scale and offset of the normalization."""
MOMENT_IMAGES = 10_000
"""Enough for moments that no longer change what the teacher answers."""
BATCH_SIZE = 500
"""Images that the finished teacher is shown at a time."""


class Convolution(NamedTuple):
    """One layer: convolution, normalization, ReLU."""

    channels: int
    side: int
    """Of the kernel, in pixels."""
    stride: int
    padding: str


CONVOLUTIONS = (
    Convolution(24, 5, 2, "SAME"),
    Convolution(48, 3, 2, "SAME"),
    Convolution(64, 3, 1, "SAME"),
    Convolution(64, 3, 1, "VALID"),
)


def first_weights(classes: int, seed: int) -> Weights:
    """Return the weights before training (K. He et al., 2015): of each convolution, then kernel and bias of the end."""
    rng = np.random.default_rng([seed, classes])

    def kernel(*shape: int) -> npt.NDArray[np.float32]:
        inputs = int(np.prod(shape[:-1]))
        return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / inputs))

    weights: list[npt.NDArray[np.float32]] = []
    inputs, side = 1, IMAGE_SIDE
    for layer in CONVOLUTIONS:
        weights += [
            kernel(layer.side, layer.side, inputs, layer.channels),
            np.ones(layer.channels, np.float32),
            np.zeros(layer.channels, np.float32),
        ]
        inputs = layer.channels
        side = -(-side // layer.stride) if layer.padding == "SAME" else side - layer.side + 1
    return [*weights, kernel(side**2 * inputs, classes) / np.float32(np.sqrt(2)), np.zeros(classes, np.float32)]


def teacher_logits(weights: Sequence[tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Return the logits, float32 [N, C], of the network in training, for images, float32 [N, 28, 28] in 0..1."""
    import tensorflow as tf

    values = images[..., None]
    for layer, (kernel, scale, offset) in zip(CONVOLUTIONS, _convolutions(weights), strict=True):
        values = tf.nn.conv2d(values, kernel, layer.stride, layer.padding)
        mean, variance = tf.nn.moments(values, axes=[0, 1, 2])
        gain = scale * tf.math.rsqrt(variance + EPSILON)
        values = tf.nn.relu(values * gain + (offset - mean * gain))
    return tf.reshape(values, [-1, weights[-2].shape[0]]) @ weights[-2] + weights[-1]


def finished_teacher(weights: Weights, images: Images) -> keras.Model:
    """Return the trained network as a Keras model, normalized by the moments of `images`, uint8 [N, 28, 28]."""
    import tensorflow as tf

    shown = images[:: max(1, len(images) // MOMENT_IMAGES)]
    batches = [tf.constant(batch[..., None].astype(np.float32) / 255) for batch in _batches(shown)]
    folded: list[npt.NDArray[np.float32]] = []
    for layer, (kernel, scale, offset) in zip(CONVOLUTIONS, _convolutions(weights), strict=True):
        batches = [tf.nn.conv2d(values, kernel, layer.stride, layer.padding) for values in batches]
        count = sum(len(values) for values in batches)
        mean = sum(tf.reduce_mean(values, [0, 1, 2]) * len(values) for values in batches) / count
        square = sum(tf.reduce_mean((values - mean) ** 2, [0, 1, 2]) * len(values) for values in batches) / count
        gain = scale / np.sqrt(np.asarray(square) + np.float32(EPSILON))
        bias = offset - np.asarray(mean) * gain
        folded += [kernel * gain, bias]
        batches = [tf.nn.relu(values * gain + bias) for values in batches]
    model = build_teacher(weights[-1].size)
    model.set_weights([*folded, *weights[-2:]])
    return model


def build_teacher(classes: int) -> keras.Model:
    """Return the untrained Keras model. It takes float32 [N, 28, 28] in 0..1 and gives logits, float32 [N, classes]."""
    import keras

    convolutions = [
        keras.layers.Conv2D(
            layer.channels,
            layer.side,
            strides=layer.stride,
            padding=layer.padding.lower(),
            activation="relu",
            name=f"convolution_{number}",
        )
        for number, layer in enumerate(CONVOLUTIONS, start=1)
    ]
    layers = [
        keras.Input((IMAGE_SIDE, IMAGE_SIDE), name="image"),
        keras.layers.Reshape((IMAGE_SIDE, IMAGE_SIDE, 1), name="channel"),
        *convolutions,
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(classes, name="logits"),
    ]
    return keras.Sequential(layers, name="teacher")


def teacher_answers(model: keras.Model, images: Images) -> Iterator[npt.NDArray[np.float16]]:
    """Yield the teacher's logits for images, uint8 [N, 28, 28], a batch at a time."""
    import tensorflow as tf

    forward = tf.function(lambda batch: model(tf.cast(batch, tf.float32) / 255), reduce_retracing=True)
    for batch in _batches(images):
        yield np.asarray(forward(tf.constant(batch)), np.float16)


def _convolutions(weights: Sequence[tf.Tensor]) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    inner = weights[: PER_CONVOLUTION * len(CONVOLUTIONS)]
    return list(zip(inner[::PER_CONVOLUTION], inner[1::PER_CONVOLUTION], inner[2::PER_CONVOLUTION], strict=True))


def _batches(images: Images) -> Iterator[Images]:
    for start in range(0, len(images), BATCH_SIZE):
        yield images[start : start + BATCH_SIZE]
