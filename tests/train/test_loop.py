"""The compiled loop does what Keras does with the same batches, for any number of images."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgemnist.digits.training import RECIPES
from edgemnist.model.runtimes.keras import model_bytes
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.train.loop import draw_randomness, fit
from edgemnist.pipeline.train.model import Adam, Optimizer, RMSprop, build_model, logits, weights_sha256
from edgemnist.pipeline.train.recipes import Plan


def plan(*, recipe: str = "baseline", epochs: int = 2, batch_size: int = 32, seed: int = 0) -> Plan:
    chosen = RECIPES[recipe]
    return Plan(recipe=chosen, distortion=chosen.distortion, epochs=epochs, batch_size=batch_size, seed=seed)


@pytest.mark.parametrize("images", [1, 5, 32, 100, 129])
def test_the_baseline_is_keras_trained_on_the_same_batches(images: int, dataset: Dataset) -> None:
    """Losses and weights agree for a last batch that is whole, one that is not, and fewer images than a batch."""
    chosen = np.random.default_rng(0).permutation(len(dataset.train))[:images]
    train = Split(dataset.train.images[chosen], dataset.train.labels[chosen])
    model = build_model((16,), 10, seed=0)
    start, chosen_plan = model.get_weights(), plan()
    *_, fitted = fit(logits, start, train, chosen_plan)

    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")
    losses = []
    for epoch in (1, 2):
        order = draw_randomness(chosen_plan, epoch, images)[0].ravel()[:images]
        assert sorted(order) == list(range(images))
        total = 0.0
        for first in range(0, images, 32):
            batch = order[first : first + 32]
            model.reset_metrics()
            loss = model.train_on_batch(train.images[batch].astype(np.float32) / 255, train.labels[batch])
            total += float(loss) * len(batch)
        losses.append(total / images)
    assert [epoch.loss for epoch in fitted.history] == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(fitted.state.trained(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("recipe", ["baseline", "standard"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_others(recipe: str, dataset: Dataset) -> None:
    start = build_model((64,), 10, seed=0).get_weights()
    ends = []
    for seed in (1, 1, 2):
        *_, fitted = fit(logits, start, dataset.train, plan(recipe=recipe, seed=seed, batch_size=128))
        ends.append(np.concatenate([weight.ravel() for weight in fitted.state.trained()]))
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def test_the_learning_rate_of_the_standard_recipe_falls_along_half_a_cosine(dataset: Dataset) -> None:
    start = build_model((8,), 10, seed=0).get_weights()
    *_, fitted = fit(logits, start, dataset.train, plan(recipe="standard", epochs=4, batch_size=500))
    first = RECIPES["standard"].learning_rate
    expected = [first * (1 + np.cos(np.pi * done)) / 2 for done in (0, 0.25, 0.5, 0.75)]
    assert [epoch.learning_rate for epoch in fitted.history] == pytest.approx(expected, rel=1e-4)


def test_plans_of_one_process_have_a_schedule_each(dataset: Dataset) -> None:
    """Two epochs of two, which end slowly, are not the first two of four."""
    start = build_model((8,), 10, seed=0).get_weights()
    short, long = (
        [
            fitted.state.trained()[0]
            for fitted in fit(logits, start, dataset.train, plan(recipe="standard", epochs=epochs))
        ]
        for epochs in (2, 4)
    )
    assert not np.array_equal(short[1], long[1])


def test_the_standard_recipe_keeps_averages_that_follow_the_weights(dataset: Dataset) -> None:
    start = build_model((32,), 10, seed=0).get_weights()
    state = None
    for fitted in fit(logits, start, dataset.train, plan(recipe="standard", epochs=3)):
        state = fitted.state
    assert state is not None
    kept, last = state.trained()[0], np.asarray(state.weights[0])
    assert not np.array_equal(kept, last)
    assert np.linalg.norm(kept - last) < 0.5 * np.linalg.norm(start[0] - last)


@pytest.mark.parametrize(("hidden", "classes"), [((), 2), ((1,), 10), ((64,), 47), ((20, 30, 40), 10)])
def test_the_loop_computes_as_the_model_does(hidden: tuple[int, ...], classes: int, dataset: Dataset) -> None:
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
