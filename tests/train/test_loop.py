"""The compiled loop does what Keras does with the same batches, for any number of images."""

import numpy as np
import pytest

from edgemnist.digits.training import RECIPES
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.train.loop import draw_randomness, fit
from edgemnist.pipeline.train.model import build_model, logits
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
def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others(
    recipe: str, dataset: Dataset
) -> None:
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
