"""The training loop: one XLA-compiled call an epoch, over images that stay in memory.

Nothing is kept in variables. An epoch is a function from state to state; the order of the images and their distortions
are drawn beforehand from the seed and the number of the epoch. So the same seed gives the same weights, and a training
can go on from the state after any epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.data.interface import Split
from edgemnist.errors import TrainingError
from edgemnist.results import Epoch
from edgemnist.train.augment import warp
from edgemnist.train.plan import Plan
from edgemnist.train.recipes import Recipe

if TYPE_CHECKING:
    from edgemnist.train.model import Weights

Forward = Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]
"""Weights and images, float32 [N, 28, 28] in 0..1, to logits, float32 [N, C]."""


class State(NamedTuple):
    """All that a training carries from one step to the next."""

    step: tf.Tensor
    """int32, steps done."""
    weights: list[tf.Tensor]
    slots: list[tf.Tensor]
    """Of the optimizer."""
    averages: list[tf.Tensor]
    """Moving averages of the weights; empty where the recipe takes none."""

    def trained(self) -> Weights:
        """Return the weights to keep: the averages where there are some."""
        return [np.asarray(weight) for weight in self.averages or self.weights]


@dataclass(frozen=True)
class Fitted:
    """A training after an epoch."""

    state: State
    history: tuple[Epoch, ...]


def initial_state(weights: Weights, recipe: Recipe) -> State:
    """Return the state before the first step."""
    tensors = [tf.constant(weight) for weight in weights]
    return State(
        step=tf.constant(0),
        weights=tensors,
        slots=[tf.zeros_like(weight) for weight in tensors] * recipe.optimizer.slots_per_weight,
        averages=tensors if recipe.averaging is not None else [],
    )


def fit(forward: Forward, weights: Weights, train: Split, plan: Plan) -> Iterator[Fitted]:
    """Train, and yield the state and the history after each epoch.

    Raises TrainingError where the loss is no longer a finite number.
    """
    steps = ceil(len(train) / plan.batch_size)
    run_epoch = _compiled_epoch(forward, train, plan, steps)
    fitted = Fitted(initial_state(weights, plan.recipe), ())
    for number in range(1, plan.epochs + 1):
        started = time.perf_counter()
        state, loss, hits = run_epoch(fitted.state, *draw_epoch(plan, number, len(train)))
        record = Epoch(
            epoch=number,
            loss=float(loss) / len(train),
            accuracy=float(hits) / len(train),
            learning_rate=round(float(_learning_rate(plan, fitted.state.step, steps)), 9),
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


def draw_epoch(plan: Plan, epoch: int, images: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return what an epoch leaves to chance: the order of the images, and how each is distorted.

    The order is int32 [steps, batch]; its end is filled up with image 0, which `_compiled_epoch` does not count. The
    coefficients are float32 [steps, batch, ...], and empty where nothing is distorted.
    """
    random = np.random.default_rng([plan.seed, epoch])
    order = np.zeros((ceil(images / plan.batch_size), plan.batch_size), np.int32)
    order.flat[:images] = random.permutation(images)
    if plan.distortion is None:
        return order, np.empty((len(order), 0), np.float32)
    coefficients = plan.distortion.draw(order.size, random)
    return order, coefficients.reshape(*order.shape, *coefficients.shape[1:])


def _compiled_epoch(
    forward: Forward, train: Split, plan: Plan, steps: int
) -> Callable[..., tuple[State, tf.Tensor, tf.Tensor]]:
    """Return a function of a state and what `draw_epoch` gives: to the next state, the sum of the losses, the hits."""
    recipe, distortion, batch_size = plan.recipe, plan.distortion, plan.batch_size
    all_images, all_labels = tf.constant(train.images), tf.constant(train.labels, tf.int32)

    def step(state: State, images: tf.Tensor, labels: tf.Tensor, counted: tf.Tensor) -> tuple[State, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(state.weights)
            scores = forward(state.weights, images)
            losses = counted * tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            loss = tf.reduce_sum(losses) / tf.reduce_sum(counted)
        weights, slots = recipe.optimizer.apply(
            state.weights,
            state.slots,
            tape.gradient(loss, state.weights),
            rate=_learning_rate(plan, state.step, steps),
            step=state.step,
        )
        averages = _averaged(state, weights, recipe.averaging)
        hits = counted * tf.cast(tf.argmax(scores, axis=1, output_type=tf.int32) == labels, tf.float32)
        return State(state.step + 1, weights, slots, averages), tf.stack([tf.reduce_sum(losses), tf.reduce_sum(hits)])

    def run_epoch(state: State, order: tf.Tensor, coefficients: tf.Tensor) -> tuple[State, tf.Tensor, tf.Tensor]:
        def body(index: tf.Tensor, state: State, sums: tf.Tensor) -> tuple[tf.Tensor, State, tf.Tensor]:
            images = tf.cast(tf.gather(all_images, order[index]), tf.float32) / 255
            if distortion is not None:
                images = warp(images, coefficients[index], distortion.grid)
            labels = tf.gather(all_labels, order[index])
            counted = tf.cast(index * batch_size + tf.range(batch_size) < len(train), tf.float32)
            state, step_sums = step(state, images, labels, counted)
            return index + 1, state, sums + step_sums

        start = (tf.constant(0), state, tf.zeros(2))
        _, state, sums = tf.while_loop(lambda index, *_: index < steps, body, start)
        return state, *tf.unstack(sums)

    compiled: Callable[..., tuple[State, tf.Tensor, tf.Tensor]] = tf.function(
        run_epoch, jit_compile=True, autograph=False
    )
    return compiled


def _learning_rate(plan: Plan, step: tf.Tensor, steps: int) -> tf.Tensor:
    """Return the learning rate of a step, of which an epoch has `steps`."""
    if not plan.recipe.cosine:
        return tf.constant(plan.recipe.learning_rate)
    done = tf.cast(step, tf.float32) / (plan.epochs * steps)
    return plan.recipe.learning_rate * (1 + tf.cos(np.pi * done)) / 2


def _averaged(state: State, weights: list[tf.Tensor], decay: float | None) -> list[tf.Tensor]:
    """Return the moving averages after a step. They start short, so that they forget the first weights soon."""
    if decay is None:
        return []
    done = tf.cast(state.step, tf.float32)
    share = 1 - tf.minimum(decay, (1 + done) / (10 + done))
    return [average + share * (weight - average) for average, weight in zip(state.averages, weights, strict=True)]
