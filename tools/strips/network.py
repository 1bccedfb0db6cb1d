"""The network for strips in Keras, and its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.digits.read.strips import BLANK, CLASSES, HEIGHT, WIDTH
from edgemnist.ground.arrays import Images
from tools.strips.draw import IGNORED, Strips

if TYPE_CHECKING:
    import keras

LAYERS: Final = ((24, 3, (2, 2)), (32, 3, (1, 1)), (48, 3, (2, 2)), (64, 3, (1, 1)), (64, 3, (2, 1)))
"""Channels, side and strides of each convolution; one as high as what is left follows, and one along the row."""
ACROSS: Final = 128
BESIDE: Final = 64
BATCH: Final = 128
AVERAGE: Final = 0.998
"""Decay of the moving average of the weights; the average is kept."""
BLANK_WEIGHT: Final = 0.4
"""Weight of a column without a middle: there are four of them for one with it."""


def build() -> keras.Model:
    """Return the network in Keras, not trained: float32 [N, 32, 128, 1], ink / 255, to [N, 1, 32, classes] logits."""
    import keras
    from keras import layers

    x = pixels = keras.Input((HEIGHT, WIDTH, 1), name="ink")
    for number, (channels, side, strides) in enumerate(LAYERS):
        x = _block(x, channels, (side, side), f"layer{number}", strides)
    x = layers.ZeroPadding2D(((0, 0), (1, 1)), name="ends")(x)
    x = _block(x, ACROSS, (x.shape[1], 3), "column", padding="valid")
    x = _block(x, BESIDE, (1, 3), "beside")
    return keras.Model(pixels, layers.Conv2D(len(CLASSES), 1, name="scores")(x), name="strips")


def _block(
    x: keras.KerasTensor, channels: int, kernel: tuple[int, int], name: str,
    strides: tuple[int, int] = (1, 1), *, padding: str = "same",
) -> keras.KerasTensor:  # fmt: skip
    from keras import layers

    x = layers.Conv2D(channels, kernel, strides, padding, use_bias=False, name=f"{name}_convolution")(x)
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_normalized")(x)
    return layers.ReLU(6.0, name=f"{name}_rectified")(x)


def fit(model: keras.Model, strips: Iterator[Strips], steps: int, rate: float, last: float) -> Iterator[float]:
    """Train on this many batches at a rate that falls as a cosine to a share of it, `last`, and give each loss."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            rate / 10, steps, alpha=last, warmup_target=rate, warmup_steps=1 + steps // 25
        ),
        weight_decay=1e-3, use_ema=True, ema_momentum=AVERAGE,
    )  # fmt: skip

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no type information
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        ink = tf.cast(images[..., None], tf.float32) / 255
        weights = tf.where(labels == IGNORED, 0.0, tf.where(labels == BLANK, BLANK_WEIGHT, 1.0))
        with tf.GradientTape() as tape:
            scores = model(ink, training=True)[:, 0]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), scores)
            loss = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    for batch, _ in zip(strips, range(steps), strict=False):
        yield float(step(batch.images, batch.labels.astype(np.int32)))
    optimizer.finalize_variable_values(model.trainable_variables)


def quantize(model: keras.Model, images: Images) -> bytes:
    """Return the network as a full-int8 TFLite file; `images`, uint8 [N, 32, 128], give the ranges of its numbers."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([_share(image[None])] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def classes(model: keras.Model, images: Images) -> npt.NDArray[np.int64]:
    """Return the most probable class of each column of strips, uint8 [N, 32, 128]: int64 [N, 32]."""
    scores = np.asarray(model(_share(images), training=False))
    return np.asarray(scores[:, 0].argmax(axis=-1), dtype=np.int64)


def _share(images: Images) -> npt.NDArray[np.float32]:
    return np.asarray(images[..., None] / np.float32(255), dtype=np.float32)
