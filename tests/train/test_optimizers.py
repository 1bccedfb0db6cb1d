"""The optimizers do what those of Keras do."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgemnist.train.model import Adam, Optimizer, RMSprop


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
