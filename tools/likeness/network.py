"""The likeness network in Keras, and its training."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.digits.read.likeness import CLASSES, LikenessNetwork
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.pipeline.train.augment import Distortion, warp
from tools.likeness.pictures import ALIKE, OTHER, PART, LikenessConfig, Pictures
from tools.likeness.records import LikenessParity

if TYPE_CHECKING:
    import keras

SHARES: Final = {OTHER: 0.6, PART: 0.5, ALIKE: 0.45}
"""Weight of each kind of non-digit, all of it together, against all digits."""
CHANNELS: Final = (24, 64)
KERNELS: Final = (5, 3)
"""Sides of the kernels of the convolutions; two dense layers follow."""
STRIDE: Final = 2
HIDDEN: Final = 160
BATCH: Final = 256
RATE: Final = 2e-3
DROPOUT: Final = 0.3
SMOOTHING: Final = 0.02
SURE: Final = 0.8
AVERAGE: Final = 0.999
"""Decay of the moving average of the weights; the average is kept."""
DISTORTION: Final = Distortion(rotation=8, scale=0.08, shear=0.1, shift=0.7, elastic=0.5)


def build() -> keras.Model:
    """Return the network in Keras, not trained: float32 [N, 28, 28, 1], pixels / 255, to 11 logits.

    The first ten are the digits, the last one is everything else.
    """
    import keras

    # Names, which end up in the file, are not to count the networks that a process has built.
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="pixels"),
            *(
                keras.layers.Conv2D(channels, kernel, strides=STRIDE, activation="relu", name=f"convolution_{number}")
                for number, (channels, kernel) in enumerate(zip(CHANNELS, KERNELS, strict=True))
            ),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dropout(DROPOUT, name="dropout"),
            keras.layers.Dense(HIDDEN, activation="relu", name="hidden"),
            keras.layers.Dense(OTHER + 1, name="scores"),
        ],
        name="likeness",
    )


def fit(pictures: Pictures, config: LikenessConfig, reporter: Reporter = SILENT) -> list[npt.NDArray[np.float64]]:
    """Return kernels and biases, in turn, of a network that was trained on pixels / 255."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    images, labels = pictures.images, pictures.labels
    model = build()
    steps = len(images) // BATCH
    counts = np.bincount(labels, minlength=ALIKE + 1)
    weight_of = np.ones(len(counts))
    for label, share in SHARES.items():
        weight_of[label] = share * counts[:OTHER].sum() / max(1, counts[label])
    weights = weight_of[labels].astype(np.float32)
    targets = np.eye(OTHER + 1, dtype=np.float32)[np.minimum(labels, OTHER)]
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(RATE, steps * config.epochs), weight_decay=1e-3,
        use_ema=True, ema_momentum=AVERAGE,
    )  # fmt: skip
    loss_function = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)

    # Compiled for the distortion alone: XLA's convolutions are several times slower on a CPU than TensorFlow's own.
    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no type information
    def distorted(batch: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
        return warp(tf.cast(batch, tf.float32) / 255, coefficients, DISTORTION)[..., None]

    @tf.function  # type: ignore[untyped-decorator]  # as above
    def step(pixels: tf.Tensor, wanted: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_function(wanted, model(pixels, training=True), sample_weight=weight)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    with reporter.task("Training the likeness network", config.epochs) as task:
        for epoch in range(config.epochs):
            if epoch == config.epochs // 2 > 0:
                weights *= ~_digits_to_anybody(model, images, labels)
            order = rng.permutation(len(images))
            losses = []
            for start in range(0, steps * BATCH, BATCH):
                chosen = order[start : start + BATCH]
                pixels = distorted(images[chosen], DISTORTION.draw(BATCH, rng))
                losses.append(step(pixels, targets[chosen], weights[chosen]))
            task.update(epoch + 1, f"loss {np.mean(losses):.4f}")
    optimizer.finalize_variable_values(model.trainable_variables)
    return [np.asarray(weight, dtype=np.float64) for weight in model.get_weights()]


def quantize(weights: Sequence[npt.NDArray[np.floating]], images: Images) -> bytes:
    """Return the network with these weights, as `fit` returns them, as a full-int8 TFLite file.

    `images`, uint8 [N, 28, 28], are such as it will see: their activations give the ranges of its numbers. The same
    weights and images give the same bytes.
    """
    from edgemnist.pipeline.export.model import read_source
    from edgemnist.pipeline.export.tflite import TFLiteExporter

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "likeness.keras")
        with_weights(weights).save(path)
        return TFLiteExporter(read_source(path), CLASSES, images).export("int8").data


def parity(weights: Sequence[npt.NDArray[np.floating]], quantized: LikenessNetwork, images: Images) -> LikenessParity:
    """Return how far the int8 network is from the one with these weights, on images, uint8 [N, 28, 28]."""
    import keras

    pixels = images[..., None].astype(np.float32) / np.float32(255)
    expected = np.asarray(keras.ops.softmax(with_weights(weights)(pixels)))
    digits = quantized.digit_likeness(images)
    found = np.concatenate([digits, 1 - digits.sum(axis=1, keepdims=True)], axis=1)
    return LikenessParity(
        images=len(images),
        same_class=int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        largest_difference=float(np.abs(found - expected).max()),
    )


def with_weights(weights: Sequence[npt.NDArray[np.floating]]) -> keras.Model:
    """Return the network in Keras with the weights that `fit` returns."""
    model = build()
    model.set_weights(weights)
    return model


def _digits_to_anybody(model: keras.Model, images: Images, labels: Labels) -> npt.NDArray[np.bool_]:
    """Return which parts the half-trained network takes for digits, against its training.

    The right half of an 8 is a 3, and to hear that it is none only makes the network doubt each 3.
    """
    doubtful = np.zeros(len(images), dtype=bool)
    parts = np.flatnonzero(labels == PART)
    logits = np.concatenate(
        [np.asarray(model(images[some][..., None] / np.float32(255))) for some in np.array_split(parts, 100)]
    )
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    doubtful[parts] = probabilities[:, :OTHER].max(axis=1) > SURE
    return doubtful
