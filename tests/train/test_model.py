"""The Keras model is the classic, and the arithmetic of loop and optimizers is that of Keras."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgemnist.model.runtimes.keras import model_bytes
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.train.model import Adam, Optimizer, RMSprop, build_model, logits, weights_sha256


@pytest.mark.parametrize(("hidden", "classes"), [((), 2), ((1,), 10), ((64,), 47), ((20, 30, 40), 10)])
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


@pytest.mark.parametrize(
    ("ours", "keras_one"),
    [(RMSprop(), keras.optimizers.RMSprop), (Adam(), keras.optimizers.Adam)],
    ids=["RMSprop", "Adam"],
)
def test_ten_steps_are_those_of_keras_with_its_defaults(ours: Optimizer, keras_one: Any) -> None:
    random = np.random.default_rng(0)
    start = [random.normal(size=shape).astype(np.float32) for shape in ((7, 5), (5,))]
    variables = [keras.Variable(value) for value in start]
    theirs = keras_one(learning_rate=0.01)
    weights, slots = [tf.constant(value) for value in start], [tf.zeros_like(value) for value in start]
    slots = slots * ours.slots_per_weight
    for step in range(10):
        gradients = [tf.constant(random.normal(size=value.shape).astype(np.float32)) for value in start]
        theirs.apply(gradients, variables)
        weights, slots = ours.apply(weights, slots, gradients, rate=tf.constant(0.01), step=tf.constant(step))
    for weight, variable, first in zip(weights, variables, start, strict=True):
        np.testing.assert_allclose(weight, variable.numpy(), rtol=2e-5, atol=1e-6)
        assert not np.allclose(weight, first, atol=1e-3)
