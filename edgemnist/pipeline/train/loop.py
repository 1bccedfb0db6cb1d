"""The training loop: one XLA-compiled call an epoch, over images that stay in memory.

Nothing is kept in variables. An epoch is a function from state to state; the order of the images and their distortions
are drawn beforehand from the seed and the number of the epoch. So the same seed gives the same weights.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, isfinite
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.errors import TrainingError
from edgemnist.ground.formatting import percent
from edgemnist.ground.inputs import WHITE, InputSpec
from edgemnist.ground.progress import Reporter
from edgemnist.ground.results.pipeline import Epoch
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.train.augment import Distortion, recolour, restroke, warp
from edgemnist.pipeline.train.calibration import rounded_activations, rounded_weights
from edgemnist.pipeline.train.model import Weights
from edgemnist.pipeline.train.recipes import Distillation, FamilyRounding, Noise, Plan, Recipe, Rounding

BANK = 16
"""Batches of noise drawn for an epoch; each step takes one of them. Drawing normal numbers for every step would take as
long as training on them."""
COMPILED = 8
"""Compiled epochs that are kept for another training of the same plan: that of one goes through three at the most."""


class Randomness(NamedTuple):
    """The random numbers of one epoch."""

    order: npt.NDArray[np.int32]
    """int32 [steps, batch], indices of the images; its end is filled up with image 0, which does not count."""
    coefficients: npt.NDArray[np.float32]
    """float32 [steps, batch, 2, fields], see `augment.Coefficients`; empty if nothing is distorted."""
    strokes: npt.NDArray[np.float32]
    """float32 [steps, batch]; empty if strokes stay as they are."""
    colours: npt.NDArray[np.float32]
    """float32 [steps, batch, C + 1]; empty if colours stay as they are."""
    noise: npt.NDArray[np.float32]
    """float32 [M, noisy images, *shape], standard normal; empty, as the two below, without noise."""
    places: npt.NDArray[np.int32]
    """int32 [steps], which of the noise each step takes."""
    sigmas: npt.NDArray[np.float32]
    """float32 [steps, noisy images]."""


def draw_randomness(plan: Plan, epoch: int, images: int) -> Randomness:
    """Return the random numbers of an epoch, counted from 1, over this many images: the same for the same seed."""
    rng = np.random.default_rng([plan.seed, epoch])
    order = np.zeros((ceil(images / plan.batch_size), plan.batch_size), np.int32)
    order.flat[:images] = rng.permutation(images)
    steps = len(order)
    nothing: npt.NDArray[np.float32] = np.empty((steps, 0), np.float32)
    coefficients = strokes = colours = nothing
    if plan.distortion is not None:
        drawn = plan.distortion.draw(order.size, rng)
        coefficients = drawn.reshape(*order.shape, *drawn.shape[1:])
        if plan.distortion.stroke:
            strokes = plan.distortion.draw_strokes(order.size, rng).reshape(order.shape)
        if plan.distortion.colour:
            colours = plan.distortion.draw_colours(order.size, plan.spec.shape, rng).reshape(*order.shape, -1)
    if (noise := plan.begun(plan.recipe.noise, epoch)) is None:
        none = np.empty(0, np.float32)
        return Randomness(order, coefficients, strokes, colours, none, np.empty(0, np.int32), nothing)
    noisy = ceil(plan.batch_size * noise.share)
    return Randomness(
        order,
        coefficients,
        strokes,
        colours,
        noise=rng.standard_normal((BANK, noisy, *plan.spec.shape), np.float32),
        places=rng.integers(0, BANK, steps, np.int32),
        sigmas=rng.uniform(0, noise.sigma, (steps, noisy)).astype(np.float32),
    )


Forward: TypeAlias = Callable[..., tf.Tensor]
"""Weights and what inputs stand for, float32 [N, *shape], to logits, float32 [N, C]; where a recipe rounds, with what
to do to the values of hidden layers as a third argument, see `model.logits`; of a family, with the bits of a weight."""


class Batch(NamedTuple):
    """What one step learns from."""

    images: tf.Tensor
    """What the inputs stand for, float32 [B, *shape]."""
    labels: tf.Tensor
    """int32 [B]."""
    targets: tf.Tensor | None
    """float32 [B, C], the teacher's logits; None without a teacher."""
    counted: tf.Tensor
    """float32 [B], 1 for each image and 0 for what fills up the last batch."""


def real(inputs: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Return what inputs [B, *shape] stand for, float32, as `InputSpec.real` does."""
    values = tf.cast(inputs, tf.float32)
    if spec.dtype == "float32":
        return values * np.asarray(spec.scale, np.float32) + np.asarray(spec.offset, np.float32)
    low, high = np.asarray(spec.ends, np.float32).T
    return values / WHITE if spec.is_unit else values / WHITE * (high - low) + low


def distort(images: tf.Tensor, randomness: Randomness, index: tf.Tensor, distortion: Distortion | None) -> tf.Tensor:
    """Return the images, float32 [B, *shape] in 0..1, of step `index`, distorted as was drawn."""
    if distortion is None:
        return images
    images = warp(images, randomness.coefficients[index], distortion)
    images = recolour(images, randomness.colours[index]) if distortion.colour else images
    return restroke(images, randomness.strokes[index]) if distortion.stroke else images


def with_noise(images: tf.Tensor, randomness: Randomness, index: tf.Tensor) -> tf.Tensor:
    """Return the images, float32 [B, *shape] in 0..1, of step `index`, the first of them with noise."""
    noisy = randomness.sigmas.shape[1]
    sigmas = tf.reshape(randomness.sigmas[index], [noisy, *[1] * (len(images.shape) - 1)])
    noise = sigmas * tf.gather(randomness.noise, randomness.places[index])
    spoiled = tf.clip_by_value(images[:noisy] + noise, 0, 1)
    return tf.concat([spoiled, images[noisy:]], axis=0)


def losses_of(
    forward: Forward, recipe: Recipe, rounding: Rounding | None, state: "State", batch: Batch
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the logits, float32 [B, C], and the loss of each image, float32 [B]."""
    if rounding is None:
        scores = forward(state.weights, batch.images)
    elif isinstance(rounding, FamilyRounding):
        scores = forward(state.weights, batch.images, rounding.bits)
    else:
        scores = forward(rounded_weights(state.weights), batch.images, rounded_activations)
    return scores, _losses(scores, batch, recipe.distillation)


def _losses(scores: tf.Tensor, batch: Batch, distillation: Distillation | None) -> tf.Tensor:
    hard = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.labels, scores)
    if distillation is None or batch.targets is None:
        return hard
    temperature, share = distillation.temperature, distillation.share
    wanted = tf.nn.softmax(batch.targets / temperature)
    # Times the square of the temperature, by which the gradient has become smaller (G. Hinton et al., 2015).
    soft = tf.nn.softmax_cross_entropy_with_logits(wanted, scores / temperature) * temperature**2
    return share * soft + (1 - share) * hard


Sums = tuple["State", tf.Tensor, tf.Tensor]
"""The state after an epoch, the sum of its losses, and how many answers were right."""


class State(NamedTuple):
    """All that a training carries from one step to the next."""

    step: tf.Tensor
    """int32, steps done."""
    weights: list[tf.Tensor]
    slots: list[tf.Tensor]
    """Slots of the optimizer."""
    averages: list[tf.Tensor]
    """Moving averages of the weights; empty if the recipe takes none."""

    def trained(self) -> Weights:
        """Return the weights to keep: the averages if the recipe takes them."""
        return [np.asarray(weight) for weight in self.averages or self.weights]


@dataclass(frozen=True)
class Fitted:
    """A training after an epoch."""

    state: State
    history: tuple[Epoch, ...]


class EpochData(NamedTuple):
    """The training images as one epoch sees them, in their order."""

    images: tf.Tensor
    """[N, *shape], of `Plan.spec`."""
    targets: tf.Tensor
    """float16 [N, C], a teacher's logits; empty without a teacher."""


DataSchedule: TypeAlias = Callable[[int], EpochData]
"""Maps the number of an epoch, counted from 1, to its data: the same for the same number."""


def fit(
    forward: Forward,
    weights: Weights,
    train: Split,
    plan: Plan,
    *,
    schedule: DataSchedule | None = None,
) -> Iterator[Fitted]:
    """Train, and yield the state and the history after each epoch.

    `schedule` says what each epoch learns from, if not the images as they are; a recipe that distils needs it.

    Raises TrainingError if the loss is no longer a finite number.
    """
    if schedule is None:
        unchanged = EpochData(tf.constant(train.images), tf.zeros([len(train), 0], tf.float16))
        schedule = lambda _: unchanged  # noqa: E731 - a `def` would redefine the parameter
    labels, steps = tf.constant(train.labels, tf.int32), ceil(len(train) / plan.batch_size)
    # Whatever the seed, the same is compiled.
    shared = replace(plan, seed=0)
    tensors = [tf.constant(weight) for weight in weights]
    first = State(
        step=tf.constant(0),
        weights=tensors,
        slots=[tf.zeros_like(weight) for weight in tensors] * plan.recipe.optimizer.slots_per_weight,
        averages=tensors if plan.recipe.averaging is not None else [],
    )
    fitted = Fitted(first, ())
    for number, randomness in _drawn_ahead(plan, len(train)):
        started = time.perf_counter()
        noise, rounding = plan.begun(plan.recipe.noise, number), plan.begun(plan.recipe.rounding, number)
        run_epoch = _compiled_epoch(forward, len(train), shared, noise, rounding)
        state, loss, hits = run_epoch(fitted.state, schedule(number), labels, randomness)
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


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a training went."""

    weights: Weights
    """The weights to keep."""
    history: tuple[Epoch, ...]
    seconds: float
    """Of all epochs and of compiling."""
    temperature: float | None = None
    """Temperature that the logits were divided by, once that is done."""


def fit_to_the_end(
    forward: Forward,
    weights: Weights,
    train: Split,
    plan: Plan,
    *,
    name: str,
    schedule: DataSchedule | None = None,
    reporter: Reporter,
) -> FitResult:
    """Train, and show how far it is. `name` is shown in the progress; the rest is as for `fit`.

    Raises TrainingError if the loss is not a number.
    """
    started, fitted = time.perf_counter(), None
    with reporter.task(name, total=plan.epochs) as task:
        task.update(0, "compiling")
        for fitted in fit(forward, weights, train, plan, schedule=schedule):
            last = fitted.history[-1]
            task.update(last.epoch, f"epoch {last.epoch}  loss {last.loss:.4f}  accuracy {percent(last.accuracy)}")
    if fitted is None:
        raise ValueError("a training has at least one epoch")
    return FitResult(
        weights=fitted.state.trained(),
        history=fitted.history,
        seconds=time.perf_counter() - started,
    )


def _drawn_ahead(plan: Plan, images: int) -> Iterator[tuple[int, Randomness]]:
    """Yield each epoch with its random numbers, which are drawn while the epoch before it is trained."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        drawing = pool.submit(draw_randomness, plan, 1, images)
        for epoch in range(1, plan.epochs + 1):
            randomness = drawing.result()
            if epoch < plan.epochs:
                drawing = pool.submit(draw_randomness, plan, epoch + 1, images)
            yield epoch, randomness


@lru_cache(maxsize=COMPILED)
def _compiled_epoch(
    forward: Forward, images: int, plan: Plan, noise: Noise | None, rounding: Rounding | None
) -> Callable[..., Sums]:
    """Return a function of a state, the data of an epoch, the labels int32 [images] and what `draw_randomness` gives.

    The same one for the same arguments: to compile it takes a second or two, as long as many epochs of a small set.
    """
    recipe, batch_size = plan.recipe, plan.batch_size
    steps = ceil(images / batch_size)

    def step(state: State, batch: Batch) -> tuple[State, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(state.weights)
            scores, losses = losses_of(forward, recipe, rounding, state, batch)
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
        return State(state.step + 1, weights, slots, averages), sums

    def run_epoch(state: State, data: EpochData, all_labels: tf.Tensor, randomness: Randomness) -> Sums:
        def body(index: tf.Tensor, state: State, sums: tf.Tensor) -> tuple[tf.Tensor, State, tf.Tensor]:
            order = randomness.order[index]
            shown = real(tf.gather(data.images, order), plan.spec)
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
    """Return the learning rate of a step; an epoch has `steps` of them."""
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
