"""Writes the full-int8 TFLite files of many shapes in `odd/`: python tests/runtimes/odd_models.py DIRECTORY."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    import tensorflow as tf

    tf.keras.utils.set_random_seed(5)
    layers = tf.keras.layers
    dense = [layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(10)]
    models = {
        "per-channel": [*dense, layers.Softmax()],
        "logits": dense,
        "fused": [
            layers.Flatten(),
            layers.Dense(12, use_bias=False),
            layers.ReLU(max_value=6),
            layers.Dense(32, "relu6"),
            layers.BatchNormalization(),
            layers.Dense(5, "softmax"),
        ],
        "scaled": [
            layers.Normalization(axis=None, mean=0.2, variance=0.5),
            layers.Rescaling(0.9, 0.3),
            layers.Flatten(),
            layers.Dense(16, "relu"),
            layers.Dense(10),
        ],
        "convolution": [
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, (3, 2), padding="same", strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ],
        "depthwise": [
            layers.Reshape((28, 28, 1)),
            layers.DepthwiseConv2D(3, depth_multiplier=5, padding="same", strides=2, activation="relu6"),
            layers.DepthwiseConv2D((2, 3), padding="same", use_bias=False),
            layers.Conv2D(7, 1, activation="relu6"),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ],
        "no-dense": [
            layers.Reshape((28, 28, 1)),
            layers.Cropping2D(((2, 0), (1, 3))),
            layers.Conv2D(8, 5, strides=3, activation="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
            layers.Conv2D(10, 1),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Flatten(),
        ],
        "pooled": [
            layers.Reshape((28, 28, 1)),
            layers.AveragePooling2D((3, 2)),
            # Steps that are wider than the window: the last place may lie beyond the image.
            layers.MaxPooling2D(2, strides=3, padding="same"),
            layers.Flatten(),
            layers.Dense(12, "relu"),
            layers.Dense(10, "softmax"),
        ],
    }
    settings: dict[str, dict[str, Any]] = {
        "per-tensor": {"_experimental_disable_per_channel": True},
        "uint8": {"inference_input_type": tf.uint8, "inference_output_type": tf.uint8},
    }
    directory = Path(sys.argv[1])
    for name in (*models, *settings):
        model = tf.keras.Sequential([tf.keras.Input((28, 28)), *models.get(name, models["per-channel"])])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _pictures
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        for setting, value in settings.get(name, {}).items():
            setattr(converter, setting, value)
        (directory / f"{name}.tflite").write_bytes(converter.convert())


def _pictures() -> Iterator[list[Any]]:
    generator = np.random.default_rng(1)
    for _ in range(50):
        yield [generator.random((1, 28, 28), dtype=np.float32)]


main()
