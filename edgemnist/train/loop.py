"""The training loop: one XLA-compiled call an epoch, over images that stay in memory.

Nothing is kept in variables. An epoch is a function from state to state; the order of the images and their distortions
are drawn beforehand from the seed and the number of the epoch. So the same seed gives the same weights, and a training
can go on from the state after any epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from edgemnist.data.dataset import Split
from edgemnist.errors import TrainingError
from edgemnist.results.train import Epoch
from edgemnist.train.calibration import clipped, clipping_limits
from edgemnist.train.recipes import Noise, Plan, Recipe, Rounding
from edgemnist.train.step import (
    Batch,
    Forward,
    Objective,
    Randomness,
    distort,
    draw_randomness,
    losses_of,
    with_noise,
)

if TYPE_CHECKING:
    from edgemnist.train.model import Weights

Sums = tuple["State", tf.Tensor, tf.Tensor]
"""The state after an epoch, the sum of its losses, and how many answers were right."""


class State(NamedTuple):
    """All that a training carries from one step to the next."""

    step: tf.Tensor
    """int32, steps done."""
    weights: list[tf.Tensor]
    slots: list[tf.Tensor]
    """Of the optimizer."""
    averages: list[tf.Tensor]
    """Moving averages of the weights; empty where the recipe takes none."""
    limits: list[tf.Tensor]
    """At which kernels are clipped; empty where nothing is rounded yet."""

    def trained(self) -> Weights:
        """Return the weights to keep: the averages if the recipe takes them, clipped at the limits if it rounds."""
        weights = [np.asarray(weight) for weight in self.averages or self.weights]
        return clipped(weights, [np.asarray(limit) for limit in self.limits]) if self.limits else weights


@dataclass(frozen=True)
class Fitted:
    """A training after an epoch."""

    state: State
    history: tuple[Epoch, ...]


class EpochData(NamedTuple):
    """The training images as one epoch sees them, in their order."""

    images: tf.Tensor
    """uint8 [N, 28, 28]."""
    targets: tf.Tensor
    """float16 [N, C], a teacher's logits; empty without a teacher."""


DataSchedule: TypeAlias = Callable[[int], EpochData]
"""From the number of an epoch, counted from 1, to its data: the same for the same number."""


def unaugmented(train: Split) -> DataSchedule:
    """Return a schedule in which every epoch sees the images as they are."""
    data = EpochData(tf.constant(train.images), tf.zeros([len(train), 0], tf.float16))
    return lambda _: data


def initial_state(weights: Weights, recipe: Recipe) -> State:
    """Return the state before the first step."""
    tensors = [tf.constant(weight) for weight in weights]
    return State(
        step=tf.constant(0),
        weights=tensors,
        slots=[tf.zeros_like(weight) for weight in tensors] * recipe.optimizer.slots_per_weight,
        averages=tensors if recipe.averaging is not None else [],
        limits=[],
    )


def fit(
    forward: Forward,
    weights: Weights,
    train: Split,
    plan: Plan,
    *,
    schedule: DataSchedule | None = None,
    resumed: Fitted | None = None,
) -> Iterator[Fitted]:
    """Train, and yield the state and the history after each epoch.

    `schedule` says what each epoch learns from, if not the images as they are; a recipe that distils needs it.
    `resumed` is an earlier training of the same plan to continue from.

    Raises TrainingError if the loss is no longer a finite number.
    """
    schedule = schedule or unaugmented(train)
    labels, steps = tf.constant(train.labels, tf.int32), ceil(len(train) / plan.batch_size)

    @cache
    def compiled(noise: Noise | None, rounding: Rounding | None) -> Callable[..., Sums]:
        return _compiled_epoch(forward, labels, plan, noise, rounding)

    fitted = resumed or Fitted(initial_state(weights, plan.recipe), ())
    for number in range(len(fitted.history) + 1, plan.epochs + 1):
        started = time.perf_counter()
        before = _limited(fitted.state, plan.rounding_in(number))
        run_epoch = compiled(plan.noise_in(number), plan.rounding_in(number))
        state, loss, hits = run_epoch(before, schedule(number), draw_randomness(plan, number, len(train)))
        record = Epoch(
            epoch=number,
            loss=float(loss) / len(train),
            accuracy=float(hits) / len(train),
            learning_rate=round(float(_learning_rate(plan, before.step, steps)), 9),
            seconds=time.perf_counter() - started,
        )
        # The last step of an epoch can break the weights after its loss was still a number.
        if not (isfinite(record.loss) and all(np.isfinite(weight).all() for weight in state.weights)):
            raise TrainingError(
                f"The loss is {record.loss:g} in epoch {number}, and the weights are no longer numbers",
                hint="Nothing was written. Try another --seed, or a larger --batch-size for steadier steps.",
            )
        fitted = Fitted(state, (*fitted.history, record))
        yield fitted


def _limited(state: State, rounding: Rounding | None) -> State:
    """Return the state with clipping limits, once there is rounding."""
    if rounding is None or state.limits:
        return state
    limits = clipping_limits([np.asarray(weight) for weight in state.averages or state.weights], rounding.bits[0])
    return state._replace(limits=[tf.constant(limit) for limit in limits])


def _compiled_epoch(
    forward: Forward, all_labels: tf.Tensor, plan: Plan, noise: Noise | None, rounding: Rounding | None
) -> Callable[..., Sums]:
    """Return a function of a state, the data of an epoch and what `draw_randomness` gives."""
    recipe, batch_size, images = plan.recipe, plan.batch_size, len(all_labels)
    steps = ceil(images / batch_size)
    objective = Objective(forward, recipe.distillation, rounding)

    def step(state: State, batch: Batch) -> tuple[State, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(state.weights)
            scores, losses = losses_of(objective, state.weights, state.limits, batch)
            losses = batch.counted * losses
            loss = tf.reduce_sum(losses) / tf.reduce_sum(batch.counted)
        weights, slots = recipe.optimizer.apply(
            state.weights,
            state.slots,
            tape.gradient(loss, state.weights),
            rate=_learning_rate(plan, state.step, steps),
            step=state.step,
        )
        averages = _averaged(state, weights, recipe.averaging)
        right = tf.argmax(scores, axis=1, output_type=tf.int32) == batch.labels
        hits = batch.counted * tf.cast(right, tf.float32)
        sums = tf.stack([tf.reduce_sum(losses), tf.reduce_sum(hits)])
        return State(state.step + 1, weights, slots, averages, state.limits), sums

    def run_epoch(state: State, data: EpochData, randomness: Randomness) -> Sums:
        def body(index: tf.Tensor, state: State, sums: tf.Tensor) -> tuple[tf.Tensor, State, tf.Tensor]:
            order = randomness.order[index]
            shown = tf.cast(tf.gather(data.images, order), tf.float32) / 255
            shown = distort(shown, randomness, index, plan.distortion)
            shown = with_noise(shown, randomness, index) if noise is not None else shown
            batch = Batch(
                images=shown,
                labels=tf.gather(all_labels, order),
                targets=None if recipe.distillation is None else tf.cast(tf.gather(data.targets, order), tf.float32),
                counted=tf.cast(index * batch_size + tf.range(batch_size) < images, tf.float32),
            )
            state, step_sums = step(state, batch)
            return index + 1, state, sums + step_sums

        start = (tf.constant(0), state, tf.zeros(2))
        _, state, sums = tf.while_loop(lambda index, *_: index < steps, body, start)
        return state, *tf.unstack(sums)

    compiled: Callable[..., Any] = tf.function(run_epoch, jit_compile=recipe.xla, autograph=False)
    return compiled


def _learning_rate(plan: Plan, step: tf.Tensor, steps: int) -> tf.Tensor:
    """Return the learning rate of a step, of which an epoch has `steps`."""
    recipe = plan.recipe
    if not recipe.cosine:
        return tf.constant(recipe.learning_rate)
    done = tf.cast(step, tf.float32)
    rate = recipe.learning_rate * (1 + tf.cos(np.pi * (done / (plan.epochs * steps)))) / 2
    return rate if not recipe.warm_up else rate * tf.minimum(1.0, (done + 1) / (recipe.warm_up * steps))


def _averaged(state: State, weights: list[tf.Tensor], decay: float | None) -> list[tf.Tensor]:
    """Return the moving averages after a step. They start short, so that they forget the first weights soon."""
    if decay is None:
        return []
    done = tf.cast(state.step, tf.float32)
    share = 1 - tf.minimum(decay, (1 + done) / (10 + done))
    return [average + share * (weight - average) for average, weight in zip(state.averages, weights, strict=True)]
