"""Forty networks of varied layers for pictures of 32×32 in colour, which `layers.py` exports to everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import task_named
from edgemnist.pipeline.data.dataset import Dataset, Split, identified

SHAPE = (32, 32, 3)
CLASSES = "abcde"


def pictures() -> Dataset:
    """Return random pictures in colour of five classes: 60 to learn from, 60 to evaluate."""
    inputs, labels = InputSpec(shape=SHAPE).random(120), np.arange(60) % len(CLASSES)
    task = task_named("pictures", InputSpec(shape=SHAPE))
    return identified(Split(inputs[:60], labels), Split(inputs[60:], labels), CLASSES, source="random", task=task)


def networks() -> Mapping[str, Callable[[Any], Any]]:
    """Return what makes features, [N, ...], of pictures, by name; a last dense layer follows."""
    from keras import layers as k

    stages: dict[str, Callable[[Any], Any]] = {
        "convolutions": lambda x: conv(conv(x, 8), 12),
        "convolutions, BatchNormalization": lambda x: conv(conv(x, 8, normal=True), 12, normal=True),
        "convolutions without padding": lambda x: conv(conv(x, 8, padding="valid"), 12, padding="valid"),
        "5×5 and 1×1": lambda x: conv(conv(x, 8, 5), 12, 1),
        "dilated": lambda x: k.Conv2D(8, 3, dilation_rate=2, activation="relu")(conv(x, 8)),
        "grouped": lambda x: k.Conv2D(12, 3, groups=4, activation="relu")(conv(x, 8)),
        "depthwise separable": lambda x: separable(separable(conv(x, 8), 12), 16),
        "SeparableConv2D": lambda x: k.SeparableConv2D(12, 3, strides=2, activation="relu")(conv(x, 8)),
        "inverted residual": lambda x: inverted(inverted(conv(x, 8), 8), 8),
        "residual": lambda x: residual(residual(conv(x, 8))),
        "residual, BatchNormalization": lambda x: residual(residual(conv(x, 8, normal=True)), normal=True),
        "residual before activation": lambda x: k.Add()([y := conv(x, 8), conv(k.ReLU()(y), 8, strides=1)]),
        "concatenation": lambda x: k.Concatenate()([conv(x, 6), conv(x, 6, 5), k.MaxPooling2D(2)(x)]),
        "dense block": lambda x: dense_block(dense_block(conv(x, 6))),
        "fire module": lambda x: fire(conv(x, 8)),
        "squeeze-excite": lambda x: excited(conv(x, 8), "sigmoid"),
        "squeeze-excite, hard sigmoid": lambda x: excited(conv(x, 8), "hard_sigmoid"),
        "shuffled channels": lambda x: shuffled(conv(x, 8)),
        "maxima": lambda x: k.MaxPooling2D(2)(conv(k.MaxPooling2D(2)(conv(x, 8, strides=1)), 12, strides=1)),
        "averages": lambda x: k.AveragePooling2D(2)(conv(x, 8)),
        "overlapping maxima": lambda x: k.MaxPooling2D(3, 2, padding="same")(conv(x, 8)),
        "zero padding": lambda x: conv(k.ZeroPadding2D(((0, 1), (0, 1)))(x), 8, padding="valid"),
        "cropping": lambda x: conv(k.Cropping2D(2)(x), 8),
        "encoder and decoder": lambda x: conv(k.UpSampling2D(2)(conv(x, 8)), 8),
        "transposed convolution": lambda x: k.Conv2DTranspose(8, 3, strides=2, activation="relu")(conv(x, 8)),
        "LayerNormalization": lambda x: k.LayerNormalization()(conv(x, 8)),
        "GroupNormalization": lambda x: k.GroupNormalization(4)(conv(x, 8)),
        "inner Rescaling": lambda x: conv(k.Rescaling(2.0, -1.0)(x), 8),
        "Dropout": lambda x: k.Dropout(0.3)(conv(x, 8)),
        "patches with attention": attended,
        "mixer": mixed,
        "rows through a GRU": lambda x: k.GRU(8)(k.Reshape((32, 96))(x)),
    }
    stages |= {f"convolutions, {name}": partial(activated, name) for name in ("relu6", "gelu", "silu", "elu", "tanh")}
    stages["convolutions, PReLU"] = lambda x: k.PReLU(shared_axes=(1, 2))(k.Conv2D(8, 3, strides=2)(x))
    return {
        "dense": lambda x: k.Dense(16, activation="relu")(k.Flatten()(x)),
        "dense, deep": lambda x: k.Dense(12, activation="relu")(k.Dense(16, activation="relu")(k.Flatten()(x))),
        **{name: partial(ended, stage) for name, stage in stages.items()},
    }


def ended(stage: Callable[[Any], Any], x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the mean of each channel that a stage makes."""
    from keras import layers as k

    made = stage(x)
    return {4: k.GlobalAveragePooling2D, 3: k.GlobalAveragePooling1D}.get(made.ndim, k.Flatten)()(made)


def conv(x: Any, units: int, size: int = 3, *, strides: int = 2, padding: str = "same", normal: bool = False) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a convolution, normalized or not, and its ReLU."""
    from keras import layers as k

    made = k.Conv2D(units, size, strides=strides, padding=padding, use_bias=not normal)(x)
    return k.ReLU()(k.BatchNormalization()(made) if normal else made)


def activated(name: str, x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return convolutions with an activation."""
    from keras import layers as k

    return k.Conv2D(12, 3, strides=2, activation=name)(k.Conv2D(8, 3, strides=2, activation=name)(x))


def separable(x: Any, units: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Return a depthwise and a pointwise convolution, normalized."""
    from keras import layers as k

    deep = k.ReLU(6.0)(k.BatchNormalization()(k.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    return conv(deep, units, 1, strides=1, normal=True)


def inverted(x: Any, units: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the block of MobileNetV2."""
    from keras import layers as k

    wide = k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(2 * units, 1, use_bias=False)(x)))
    deep = k.ReLU(6.0)(k.BatchNormalization()(k.DepthwiseConv2D(3, padding="same", use_bias=False)(wide)))
    return k.Add()([x, k.BatchNormalization()(k.Conv2D(units, 1, use_bias=False)(deep))])


def residual(x: Any, *, normal: bool = False) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the block of ResNet."""
    from keras import layers as k

    made = k.Conv2D(8, 3, padding="same")(conv(x, 8, strides=1, normal=normal))
    return k.ReLU()(k.Add()([x, k.BatchNormalization()(made) if normal else made]))


def dense_block(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the block of DenseNet."""
    from keras import layers as k

    return k.Concatenate()([x, k.Conv2D(4, 3, padding="same")(k.ReLU()(k.BatchNormalization()(x)))])


def fire(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the block of SqueezeNet."""
    from keras import layers as k

    narrow = conv(x, 4, 1, strides=1)
    return k.Concatenate()([conv(narrow, 8, 1, strides=1), conv(narrow, 8, strides=1)])


def excited(x: Any, gate: str) -> Any:  # noqa: ANN401 - Keras has no types
    """Return channels, each multiplied by what the means of all say of it."""
    from keras import layers as k

    means = k.Dense(4, activation="relu")(k.GlobalAveragePooling2D()(x))
    return k.Multiply()([x, k.Reshape((1, 1, 8))(k.Dense(8, activation=gate)(means))])


def shuffled(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the shuffled channels of ShuffleNet."""
    from keras import layers as k

    return conv(k.Reshape((16, 16, 8))(k.Permute((1, 2, 4, 3))(k.Reshape((16, 16, 2, 4))(x))), 8)


def attended(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return patches that attend to one another."""
    from keras import layers as k

    patches = k.Reshape((16, 12))(k.Conv2D(12, 8, strides=8)(x))
    return k.Add()([patches, k.MultiHeadAttention(2, 6)(patches, patches)])


def mixed(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the block of MLP-Mixer."""
    from keras import layers as k

    patches = k.Reshape((16, 12))(k.Conv2D(12, 8, strides=8)(x))
    across = k.Permute((2, 1))(k.Dense(16, activation="gelu")(k.Permute((2, 1))(patches)))
    return k.Dense(12, activation="gelu")(k.Add()([patches, across]))
