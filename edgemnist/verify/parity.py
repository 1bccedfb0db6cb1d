"""What a classifier answers: to one image at a time, and to many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Labels, Probabilities, as_digit
from edgemnist.exports.golden import Golden, ask_one_at_a_time
from edgemnist.progress import Task
from edgemnist.results.verify import Flip
from edgemnist.runtimes.interface import Classifier

BATCH_SIZE = 1000
"""Images a batch: large enough for every runtime's large-batch kernels, and 3 MB as float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Probabilities for the same images, both ways."""

    single: Probabilities
    """float32 [N, C], one image a call."""
    batched: Probabilities
    """float32 [N, C], `BATCH_SIZE` images a call."""


def ask(classifier: Classifier, golden: Golden, task: Task) -> Answers:
    """Return what `classifier` answers to every image; `task` counts images."""
    shape = len(golden.labels), len(classifier.classes_)
    answers = Answers(single=np.empty(shape, np.float32), batched=np.empty(shape, np.float32))
    done = 0
    for batch in golden.batches(BATCH_SIZE):
        place = slice(done, done := done + len(batch))
        answers.single[place] = ask_one_at_a_time(classifier, batch)
        answers.batched[place] = classifier.predict_proba(batch)
        task.update(done)
    return answers


def no_answers(images: int, classes: int) -> Answers:
    """Return the answers of a classifier that has none: not a number, everywhere."""
    nothing = np.full((images, classes), np.nan, dtype=np.float32)
    return Answers(single=nothing, batched=nothing)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The comparison of an artifact with the Keras model, over all evaluation images."""

    images: int
    classes: int
    correct: int
    """Images that the artifact labels as they should be."""
    lost: int
    """How many more the Keras model labels so; negative where the artifact is better."""
    flips: int
    """Images whose label is not the Keras model's."""
    ties: int
    """Flips in which the artifact finds the Keras model's label as likely as its own, to the last bit."""
    lost_to_ties: int
    """How many of `lost` are such ties; negative where they happened to fall on the right label."""
    max_abs_diff: float
    mean_abs_diff: float
    """Of the probabilities, against the Keras model's, over all images and classes."""
    batch_flips: int
    """Images whose label depends on whether they come alone or in a batch."""
    batch_ties: int
    """Those in which both labels are equally likely to an image that comes alone."""
    max_batch_diff: float
    """Largest difference of a probability between the two."""
    unanswered: int
    """Images for which some probability is not a finite number."""
    max_sum_error: float
    """Largest difference from 1 of Σ|p| over the classes: negative "probabilities" show as well."""

    @property
    def accuracy(self) -> float:
        """Share of the images that are labelled as they should be, 0 to 1."""
        return self.correct / self.images

    @property
    def accuracy_drop_points(self) -> float:
        """Percentage points below the Keras model; negative where the artifact is better."""
        return 100.0 * self.lost / self.images

    @property
    def agreement(self) -> float:
        """Share of the images with the Keras model's label, 0 to 1."""
        return (self.images - self.flips) / self.images


def compare(reference: Probabilities, labels: Labels, single: Probabilities, batched: Probabilities) -> Parity:
    """Compare an artifact's answers with the Keras model's.

    Args:
        reference: float32 [N, C], the Keras model's probabilities.
        labels: int64 [N], the true classes.
        single: float32 [N, C], the artifact's answers to one image at a time. They are what a board does, so they are
            what is held against the reference.
        batched: float32 [N, C], its answers to the same images in batches.

    An image with a probability that is not finite counts as one without an answer: no probability for any class, and
    no label, so that it can agree with nothing.
    """
    expected = reference.argmax(axis=1)
    answered = np.all(np.isfinite(single), axis=1)
    alone, alone_label = _settle(single)
    together, together_label = _settle(batched)
    correct = int(np.count_nonzero(alone_label == labels))
    flipped, tied = alone_label != expected, tie(single, expected)
    settled = np.where(tied, expected, alone_label)
    distance = np.abs(alone - reference)
    sums = np.abs(alone[answered]).sum(axis=1, dtype=np.float64)
    return Parity(
        images=len(labels),
        classes=reference.shape[1],
        correct=correct,
        lost=int(np.count_nonzero(expected == labels)) - correct,
        flips=int(np.count_nonzero(flipped)),
        ties=int(np.count_nonzero(flipped & tied)),
        lost_to_ties=int(np.count_nonzero(settled == labels)) - correct,
        max_abs_diff=float(distance.max()),
        mean_abs_diff=float(distance.mean(dtype=np.float64)),
        batch_flips=int(np.count_nonzero(alone_label != together_label)),
        batch_ties=int(np.count_nonzero((alone_label != together_label) & tie(single, together_label))),
        max_batch_diff=float(np.abs(alone - together).max()),
        unanswered=int(np.count_nonzero(~answered)),
        max_sum_error=float(np.abs(sums - 1.0).max(initial=0.0)),
    )


def tie(answers: Probabilities, labels: Labels) -> npt.NDArray[np.bool_]:
    """Return for each image, bool [N], whether `answers`, float32 [N, C], find no label more likely than the given one.

    In 8 bits two classes often are equally likely: which of them is then named is the order of the classes, no error.
    Labels below 0 are none, and answers that are not finite are no ties.
    """
    finite = np.all(np.isfinite(answers), axis=1) & (labels >= 0)
    given = np.take_along_axis(answers, np.maximum(labels, 0)[:, None], axis=1)[:, 0]
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.bool_] = finite & (given == answers.max(axis=1))
    return found


def _settle(answers: Probabilities) -> tuple[Probabilities, Labels]:
    """Return the answers without what is not finite, and their labels, -1 if there is none."""
    finite = np.all(np.isfinite(answers), axis=1, keepdims=True)
    settled = np.where(finite, answers, np.float32(0.0))
    return settled, np.where(finite[:, 0], settled.argmax(axis=1), -1)


BROKEN: Final = "broken"
FIXED: Final = "fixed"
CHANGED: Final = "changed"
KINDS: Final = (BROKEN, FIXED, CHANGED)


def list_flips(
    reference: Probabilities, answers: Probabilities, labels: Labels, class_labels: Sequence[str]
) -> list[Flip]:
    """Return the images to which `answers` give another label than `reference`, both float32 [N, C], in their order.

    `labels` are the true classes, int64 [N]. An answer with a probability that is not finite has no label.
    """
    expected = reference.argmax(axis=1)
    settled, found = _settle(answers)
    names = [as_digit(label) for label in class_labels]
    return [
        Flip(
            index=int(index),
            label=names[labels[index]],
            reference=names[expected[index]],
            artifact=names[found[index]] if found[index] >= 0 else None,
            reference_margin=margin(reference[index]),
            artifact_margin=margin(settled[index]),
            kind=_kind(int(labels[index]), int(expected[index]), int(found[index])),
        )
        for index in np.flatnonzero(found != expected)
    ]


def margin(probabilities: Probabilities) -> float:
    """Return the largest of the probabilities, float32 [C], less the second largest."""
    second, first = np.partition(probabilities, -2)[-2:]
    return float(first) - float(second)


def count_kind(flips: Sequence[Flip], kind: str) -> int:
    """Return how many of the flips are of this kind."""
    return sum(flip.kind == kind for flip in flips)


def _kind(label: int, reference: int, artifact: int) -> str:
    if reference == label:
        return BROKEN
    return FIXED if artifact == label else CHANGED
