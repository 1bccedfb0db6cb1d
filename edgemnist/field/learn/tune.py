"""Fine-tuning: labelled samples, replay of the training images, and the present model as the teacher.

Every epoch sees other training images, half of them distorted, with the present model's answers to them; again those
that it has forgotten since it began; and distorted copies of the samples with their labels. The last epochs compute as
the exporters will round. Then the new weights are averaged with those of the cross-validation (M. Wortsman et al.,
"Model soups", 2022). The figures behind the constants are in `benchmarks/learn/tried.md`.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.field.learn.present import Present
from edgemnist.ground.arrays import Images, Labels
from edgemnist.model.task import Task
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.train.augment import Distortion, distorted
from edgemnist.pipeline.train.families import finished_form
from edgemnist.pipeline.train.loop import EpochData, fit
from edgemnist.pipeline.train.model import Adam, Weights
from edgemnist.pipeline.train.recipes import DEFAULT_RECIPE, Distillation, Plan, Recipe, Rounding, training_of

REPLAY: Final = 24_000
"""Training images of an epoch; of fewer, each comes several times, half of the times distorted."""
SEARCHED: Final = 12_000
"""Training images among which each epoch looks for what has been forgotten."""
AGAIN: Final = REPLAY // 6
"""Images of an epoch that show again what has been forgotten, at most."""
MOST_AGAIN: Final = 8
"""Times that an epoch shows each of them."""
SHARE: Final = 0.25
"""Largest share of the copies of samples among the images of an epoch."""
COPIES: Final = 7
"""Copies of a sample in an epoch, at most: with more, a few samples of one style take others with them."""
CERTAIN: Final = 0.9
"""Probability of the label in the target of a sample: people err, too."""
CONVOLVED: Final = 4
"""Times fewer of all these for a network of convolutions, which takes as many times as long for each."""
REPLAY_STRENGTH: Final = 0.5
"""Strength of the distortions of training images, of that of the copies of samples."""

_RECIPE: Final = Recipe(
    summary="fine-tuning of a trained network on samples",
    epochs=10,
    batch_size=500,
    optimizer=Adam(),
    learning_rate=1e-3,
    warm_up=1,
    cosine=True,
    averaging=0.99,
    rounding=Rounding(begins=0.6),
    # A hundred steps take less time than compiling them.
    xla=False,
)


def recipe_for(task: Task) -> Recipe:
    """Return how a network for a task is fine-tuned."""
    training = training_of(task)
    # The targets are what is learned from: probabilities that already have the labels in them.
    alone = Distillation(
        teacher=training.recipes[DEFAULT_RECIPE],
        distortion=training.distortion or Distortion(),
        images=1,
        uses=1,
        temperature=1,
        share=1,
    )
    return replace(_RECIPE, distillation=alone)


@dataclass(frozen=True, eq=False)
class Tuned:
    """The result of fine-tuning."""

    weights: Weights
    """Averaged with those of others."""
    fitted: Weights
    """As they were fitted."""


class Replay:
    """The training images that each epoch shows again, with the present model's answers to them.

    They do not depend on the samples, so what is made for one fine-tuning serves all of the same seed.
    """

    def __init__(self, present: Present, train: Split, seed: int) -> None:
        """Make nothing of the images of `train`, of the same classes as the present model, yet."""
        self.present = present
        self.seed = seed
        part = 1 if present.network.plain else CONVOLVED
        self.shown, self.searched, self.again = REPLAY // part, SEARCHED // part, AGAIN // part
        self._train = train
        self._epochs: dict[int, tuple[Images, npt.NDArray[np.float32], np.random.Generator]] = {}
        self._pools: dict[int, tuple[Images, Labels]] = {}

    def epoch(self, number: int) -> tuple[Images, npt.NDArray[np.float32], np.random.Generator]:
        """Return the images of an epoch, counted from 1, their answers, and the generator that draws what follows."""
        if number not in self._epochs:
            rng = np.random.default_rng([self.seed, number])
            rounds = ceil(self.shown / len(self._train))
            chosen = np.concatenate([rng.permutation(len(self._train)) for _ in range(rounds)])[: self.shown]
            shown = self._train.images[chosen]
            half = len(shown) // 2
            shown = np.concatenate([shown[:half], self._distorted(shown[half:], rng)])
            self._epochs[number] = shown, self.present.logits(shown), rng
        shown, answers, rng = self._epochs[number]
        return shown, answers, deepcopy(rng)

    def forgotten(self, number: int, weights: Weights) -> Images:
        """Return distorted training images that the present model reads, and a model with these weights no longer.

        They are those of a pool that belongs to the epoch of that number.
        """
        if number not in self._pools:
            rng = np.random.default_rng([self.seed, number, 2])
            chosen = rng.permutation(len(self._train))[: self.searched]
            images, labels = self._distorted(self._train.images[chosen], rng), self._train.labels[chosen]
            known = self.present.logits(images).argmax(axis=1) == labels
            self._pools[number] = images[known], labels[known]
        images, labels = self._pools[number]
        lost: npt.NDArray[np.bool_] = self.present.logits(images, weights).argmax(axis=1) != labels
        return np.asarray(images[lost])

    def _distorted(self, images: Images, rng: np.random.Generator) -> Images:
        distortion = training_of(self.present.task).distortion
        return images if distortion is None else distorted(images, distortion.scaled(REPLAY_STRENGTH), rng)


def tune(replay: Replay, samples: Split, turn: int = 0, others: Sequence[Weights] = ()) -> Tuned:
    """Return the weights of the present model after learning from samples: the same for the same seed of the replay.

    The epochs of the replay begin with the one after the `turn`-th, so that tunings which are averaged differ in more
    than their samples; `others` are the fitted weights of those to average with.

    Raises TrainingError if the loss is no longer a number.
    """
    present, seed, distortion = replay.present, replay.seed, training_of(replay.present.task).distortion
    copies = max(len(samples), min(COPIES * len(samples), round(replay.shown * SHARE / (1 - SHARE))))
    chosen = np.resize(np.arange(len(samples)), copies)
    labelled = np.full((len(samples), len(present.labels)), (1 - CERTAIN) / (len(present.labels) - 1), np.float32)
    labelled[np.arange(len(samples)), samples.labels] = CERTAIN
    targets = np.log(labelled)[chosen]

    weights: Weights = present.weights
    forgotten: Images = samples.images[:0]

    def data_of(epoch: int) -> EpochData:
        nonlocal forgotten
        number = (epoch - 1 + turn) % plan.epochs + 1
        shown, answers, rng = replay.epoch(number)
        forgotten = np.concatenate([replay.forgotten(number, weights), forgotten])[: replay.again]
        again = np.resize(np.arange(len(forgotten)), min(replay.again, MOST_AGAIN * len(forgotten)))
        images = [forgotten[again], shown[len(again) :], _copies(samples.images[chosen], distortion, len(samples), rng)]
        wanted = [present.logits(forgotten)[again], answers[len(again) :], targets]
        return EpochData(tf.constant(np.concatenate(images)), tf.constant(np.concatenate(wanted).astype(np.float16)))

    plan = Plan(
        recipe=recipe_for(present.task),
        distortion=None,
        epochs=_RECIPE.epochs or 0,
        batch_size=_RECIPE.batch_size,
        seed=seed,
        spec=present.spec,
    )
    # The schedule brings images and targets; the loop takes from here only how many there are.
    count = replay.shown + copies
    split = Split(np.empty((count, 0, 0), np.uint8), np.zeros(count, np.int64))
    for fitted in fit(finished_form(present.network), present.weights, split, plan, schedule=data_of):
        weights = [np.asarray(one) for one in fitted.state.averages]
    new = fitted.state.trained()
    averaged = [np.asarray(np.mean(alike, axis=0, dtype=np.float32)) for alike in zip(new, *others, strict=True)]
    return Tuned(averaged, new)


def _copies(images: Images, distortion: Distortion | None, originals: int, rng: np.random.Generator) -> Images:
    """Return distorted images, except for the first ones, which stay as they are; numbers all stay."""
    if distortion is None:
        return images
    found = distorted(images, distortion, rng)
    found[:originals] = images[:originals]
    return found
