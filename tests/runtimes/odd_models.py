"""Writes small full-int8 TFLite files of many shapes: python odd_models.py DIRECTORY.

Weights are random, since the arithmetic does not ask what a model is good for. In a process of its own, because
TensorFlow's converter writes to the terminal and warns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Convert each model."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(5)
    layers = tf.keras.layers
    dense = [layers.Flatten(), layers.Dense(48, "relu"), layers.Dense(10)]
    probabilities = tf.keras.Sequential([tf.keras.Input((28, 28)), *dense, layers.Softmax()])
    logits = tf.keras.Sequential([tf.keras.Input((28, 28)), *dense])
    fused = tf.keras.Sequential(
        [
            tf.keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(32, use_bias=False),
            layers.ReLU(max_value=6),
            layers.Dense(32, "relu6"),
            layers.BatchNormalization(),
            layers.Dense(5, "softmax"),
        ]
    )
    scaled = [
        layers.Normalization(axis=None, mean=0.2, variance=0.5),
        layers.Rescaling(0.9, 0.3),
        layers.Flatten(),
        layers.Dense(48, "relu"),
        layers.Dense(10),
    ]
    image = [tf.keras.Input((28, 28)), layers.Reshape((28, 28, 1))]
    plain = [
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(6, (3, 2), padding="same", strides=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
    ]
    depthwise = [
        layers.DepthwiseConv2D(3, depth_multiplier=5, padding="same", strides=2, activation="relu6"),
        layers.DepthwiseConv2D((2, 3), padding="same", use_bias=False),
        layers.Conv2D(7, 1, activation="relu6"),
        layers.AveragePooling2D(3, strides=2, padding="same"),
        layers.Flatten(),
    ]
    convolutional = [
        layers.Conv2D(8, 5, strides=3, activation="relu"),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
        layers.Conv2D(10, 1),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Flatten(),
    ]
    pooled = [layers.AveragePooling2D((3, 2)), layers.Flatten(), layers.Dense(12, "relu")]
    directory = Path(sys.argv[1])
    for name, model, settings in (
        ("per-channel", probabilities, {}),
        ("per-tensor", probabilities, {"_experimental_disable_per_channel": True}),
        ("uint8", probabilities, {"inference_input_type": tf.uint8, "inference_output_type": tf.uint8}),
        ("logits", logits, {}),
        ("fused", fused, {}),
        ("scaled", tf.keras.Sequential([tf.keras.Input((28, 28)), *scaled]), {}),
        ("convolution", tf.keras.Sequential([*image, *plain, layers.Dense(10)]), {}),
        ("depthwise", tf.keras.Sequential([*image, *depthwise, layers.Dense(10)]), {}),
        ("no-dense", tf.keras.Sequential([*image, *convolutional]), {}),
        ("pooled", tf.keras.Sequential([*image, *pooled, layers.Dense(10, "softmax")]), {}),
    ):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _pictures
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        for setting, value in settings.items():
            setattr(converter, setting, value)
        (directory / f"{name}.tflite").write_bytes(converter.convert())


def _pictures() -> Iterator[list[Any]]:
    generator = np.random.default_rng(1)
    for _ in range(50):
        yield [generator.random((1, 28, 28), dtype=np.float32)]


main()
