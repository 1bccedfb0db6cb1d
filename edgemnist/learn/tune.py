"""Fine-tuning: labelled samples, replay of the training images, and the present model as the teacher.

Every epoch sees other training images, half of them distorted, with the present model's answers to them, and distorted
copies of the samples with their labels. The last epochs compute as the exporters will round. Then the new weights are
averaged with those of the cross-validation (M. Wortsman et al., "Model soups", 2022), and mixed with the present ones,
which preserves everything that the samples say nothing about (M. Wortsman et al., "Robust fine-tuning of zero-shot
models", 2022). The figures behind the constants are in `benchmarks/learn/choices.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgemnist.arrays import Images, Labels
from edgemnist.data.dataset import Split
from edgemnist.learn.present import Present, logits_of
from edgemnist.train.augment import Distortion, distorted
from edgemnist.train.loop import EpochData, fit
from edgemnist.train.model import Adam, logits
from edgemnist.train.recipes import FAR, TEACHER, Distillation, Plan, Recipe, Rounding

if TYPE_CHECKING:
    from edgemnist.train.model import Weights

REPLAY: Final = 24_000
"""Training images of an epoch; of fewer, each comes several times, half of the times distorted."""
SHARE: Final = 0.15
"""Largest share of the copies of samples among the images of an epoch."""
COPIES: Final = 7
"""Copies of a sample in an epoch, at most: with more, a few samples of one style take others with them."""
CERTAIN: Final = 0.9
"""Probability of the label in the target of a sample: people err, too."""
DISTORTION: Final = FAR
REPLAY_DISTORTION: Final = FAR.scaled(0.5)
PROBED: Final = 10_000
"""Distorted training images on which mixtures are compared: the undistorted ones are known by heart."""
MIXTURES: Final = (1.0, 0.75, 0.5, 0.25)
"""Shares of the new weights to try, the largest first."""
SLACK: Final = 0.0015
"""Share of these images that a mixture may lose."""

_RECIPE: Final = Recipe(
    summary="fine-tuning of a trained network on samples",
    epochs=10,
    batch_size=500,
    optimizer=Adam(),
    learning_rate=1e-3,
    warm_up=1,
    cosine=True,
    averaging=0.99,
    rounding=Rounding(bits=(8,), begins=0.6),
    # A hundred steps take less time than compiling them.
    xla=False,
    # The targets are what is learned from: probabilities that already have the labels in them.
    distillation=Distillation(teacher=TEACHER, distortion=DISTORTION, images=1, uses=1, temperature=1, share=1),
)


@dataclass(frozen=True, eq=False)
class Tuned:
    """The result of fine-tuning."""

    weights: Weights
    share: float
    """Share of the new weights in the mixture."""
    fitted: Weights
    """The new weights, neither averaged nor mixed."""


class Replay:
    """The training images that each epoch shows again, with the present model's answers to them.

    They do not depend on the samples, so what is made for one fine-tuning serves all of the same seed.
    """

    def __init__(self, present: Present, train: Split, seed: int) -> None:
        """Make nothing of the images of `train`, of the same classes as the present model, yet."""
        self.present = present
        self.seed = seed
        self.labels, self._members = _places(train.labels, REPLAY, seed)
        self._train = train
        self._epochs: dict[int, tuple[Images, npt.NDArray[np.float32], np.random.Generator]] = {}

    def epoch(self, number: int) -> tuple[Images, npt.NDArray[np.float32], np.random.Generator]:
        """Return the images of an epoch, counted from 1, their answers, and the generator that draws what follows."""
        if number not in self._epochs:
            rng = np.random.default_rng([self.seed, number])
            shown = self._train.images[_turn(self.labels, self._members, number)]
            half = len(shown) // 2
            shown = np.concatenate([shown[:half], distorted(shown[half:], REPLAY_DISTORTION, rng)])
            self._epochs[number] = shown, self.present.logits(shown), rng
        shown, answers, rng = self._epochs[number]
        return shown, answers, deepcopy(rng)

    def mixed(self, new: Weights) -> tuple[Weights, float]:
        """Return the mixture with the largest share of the new weights that loses at most `SLACK`, and that share."""
        least = self._right(self.present.weights) - SLACK * len(self._probed[1])
        for share in MIXTURES:
            mixture = mix(self.present.weights, new, share)
            if self._right(mixture) >= least:
                break
        return mixture, share

    @cached_property
    def _probed(self) -> tuple[Images, Labels]:
        chosen = np.random.default_rng([self.seed, 0]).permutation(len(self._train))[:PROBED]
        rng = np.random.default_rng([self.seed, 0, 1])
        return distorted(self._train.images[chosen], REPLAY_DISTORTION, rng), self._train.labels[chosen]

    def _right(self, weights: Weights) -> int:
        images, labels = self._probed
        return int((logits_of(weights, images).argmax(axis=1) == labels).sum())


def tune(replay: Replay, samples: Split, turn: int = 0, others: Sequence[Weights] = ()) -> Tuned:
    """Return the weights of the present model after learning from samples: the same for the same seed of the replay.

    The epochs of the replay begin with the one after the `turn`-th, so that tunings which are averaged differ in more
    than their samples; `others` are the fitted weights of those to average with.

    Raises TrainingError if the loss is no longer a number.
    """
    present, seed = replay.present, replay.seed
    copies = max(len(samples), min(COPIES * len(samples), round(REPLAY * SHARE / (1 - SHARE))))
    chosen = np.resize(np.arange(len(samples)), copies)
    wanted = np.full((len(samples), len(present.labels)), (1 - CERTAIN) / (len(present.labels) - 1), np.float32)
    wanted[np.arange(len(samples)), samples.labels] = CERTAIN
    targets = np.log(wanted)[chosen]

    def data_of(epoch: int) -> EpochData:
        shown, answers, rng = replay.epoch((epoch - 1 + turn) % plan.epochs + 1)
        images = np.concatenate([shown, _copies(samples.images[chosen], DISTORTION, len(samples), rng)])
        return EpochData(tf.constant(images), tf.constant(np.concatenate([answers, targets]).astype(np.float16)))

    labels = np.concatenate([replay.labels, samples.labels[chosen]])
    plan = Plan(recipe=_RECIPE, distortion=None, epochs=_RECIPE.epochs or 0, batch_size=_RECIPE.batch_size, seed=seed)
    # The schedule brings the images; the loop takes from here only how many there are, and their labels.
    split = Split(np.empty((len(labels), 0, 0), np.uint8), labels)
    *_, fitted = fit(logits, present.weights, split, plan, schedule=data_of)
    new = fitted.state.trained()
    averaged = [np.asarray(np.mean(alike, axis=0, dtype=np.float32)) for alike in zip(new, *others, strict=True)]
    return Tuned(*replay.mixed(averaged), new)


def mix(old: Weights, new: Weights, share: float) -> Weights:
    """Return the weights on the line from `old` to `new`, at `share` of its length."""
    part = np.float32(share)
    return [np.asarray((1 - part) * before + part * after, np.float32) for before, after in zip(old, new, strict=True)]


def _copies(images: Images, distortion: Distortion, originals: int, rng: np.random.Generator) -> Images:
    """Return distorted images, uint8 [N, 28, 28], except for the first ones, which stay as they are."""
    found = distorted(images, distortion, rng)
    found[:originals] = images[:originals]
    return found


def _places(labels: Labels, count: int, seed: int) -> tuple[Labels, list[npt.NDArray[np.int64]]]:
    """Return the labels of the places of an epoch, and for each class its images in random order.

    Labels stay where they are from epoch to epoch, as the loop wants it; the images change.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = int(labels.max()) + 1
    return labels[np.resize(order, count)], [order[labels[order] == one] for one in range(classes)]


def _turn(places: Labels, members: list[npt.NDArray[np.int64]], epoch: int) -> Labels:
    """Return the indices of the images in the places of an epoch, counted from 1."""
    chosen = np.empty(len(places), np.int64)
    for one, indices in enumerate(members):
        here = np.flatnonzero(places == one)
        chosen[here] = indices[((epoch - 1) * len(here) + np.arange(len(here))) % max(1, len(indices))]
    return chosen
