"""The Keras model is the classic, and the loop's arithmetic is the model's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgemnist.data.dataset import Dataset
from edgemnist.runtimes.keras import model_bytes
from edgemnist.train.model import build_model, logits, weights_sha256


def test_784_512_10_is_exactly_the_classic() -> None:
    model = build_model((512,), 10, seed=0)
    classic = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    assert model.input_shape == classic.input_shape == (None, 28, 28)
    assert model.count_params() == classic.count_params() == 407_050
    assert len(model.layers) == len(classic.layers)
    for ours, theirs in zip(model.layers, classic.layers, strict=True):
        assert type(ours) is type(theirs)
        assert ours.output.shape == theirs.output.shape
        assert getattr(ours, "activation", None) == getattr(theirs, "activation", None)


@pytest.mark.parametrize("hidden", [(), (1,), (64,), (128, 64), (20, 30, 40)])
@pytest.mark.parametrize("classes", [2, 10, 47])
def test_the_arithmetic_of_the_loop_is_that_of_the_model(
    hidden: tuple[int, ...], classes: int, dataset: Dataset
) -> None:
    model = build_model(hidden, classes, seed=1)
    images = dataset.test.images[:50].astype(np.float32) / 255
    answers = tf.nn.softmax(logits([tf.constant(weight) for weight in model.get_weights()], tf.constant(images)))
    assert answers.shape == (50, classes)
    np.testing.assert_allclose(answers, model(images), atol=1e-6)


def test_the_seed_decides_the_first_weights_and_nothing_else_does() -> None:
    first = build_model((32,), 10, seed=5)
    keras.utils.set_random_seed(99)
    keras.layers.Dense(3)
    again, other = build_model((32,), 10, seed=5), build_model((32,), 10, seed=6)
    assert weights_sha256(first.get_weights()) == weights_sha256(again.get_weights())
    assert weights_sha256(first.get_weights()) != weights_sha256(other.get_weights())
    assert model_bytes(first) == model_bytes(again)


def test_layers_of_one_shape_start_from_different_weights() -> None:
    weights = build_model((784, 784), 784, seed=0).get_weights()
    assert not np.array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[2], weights[4])
