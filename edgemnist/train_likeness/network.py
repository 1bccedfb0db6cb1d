"""The likeness network in Keras, and its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.progress import SILENT, Reporter
from edgemnist.read.likeness import KERNELS, STRIDE
from edgemnist.train.augment import Distortion, warp
from edgemnist.train_likeness.config import LikenessConfig
from edgemnist.train_likeness.pictures import ALIKE, OTHER, PART, Images, Labels, Pictures

if TYPE_CHECKING:
    import keras

SHARES: Final = {OTHER: 0.6, PART: 0.5, ALIKE: 0.45}
"""Weight of each kind of non-digit, all of it together, against all digits."""
CHANNELS: Final = (24, 64)
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

    Its layers and weights, in their order, are those of `edgemnist.read.likeness`.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(
                keras.layers.Conv2D(channels, kernel, strides=STRIDE, activation="relu")
                for channels, kernel in zip(CHANNELS, KERNELS, strict=True)
            ),
            keras.layers.Flatten(),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(OTHER + 1),
        ]
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


def _digits_to_anybody(model: keras.Model, images: Images, labels: Labels) -> npt.NDArray[np.bool_]:
    """Tell which parts the half-trained network takes for digits, against its training.

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
