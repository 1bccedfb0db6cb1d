"""What a classifier answers: to one image at a time, and to many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Labels, Probabilities, as_digit
from edgemnist.ground.progress import Task
from edgemnist.ground.results.verify import Flip, ValueFigures
from edgemnist.model.exports.golden import GoldenPack, ask_one_at_a_time
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.pipeline.verify.statistics import is_significant_loss, mcnemar_p, wilson_interval

BATCH_SIZE = 1000
"""Images a batch: large enough for every runtime's large-batch kernels, and 3 MB as float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Probabilities for the same images, both ways."""

    single: Probabilities
    """float32 [N, C], or [N, ...] of numbers, one image a call."""
    batched: Probabilities | None
    """float32 [N, C], `BATCH_SIZE` images a call; None for a file that takes one image at a time."""


def ask(classifier: Classifier, golden: GoldenPack, task: Task) -> Answers:
    """Return what `classifier` answers to every image; `task` counts images."""
    shape = golden.probabilities.shape
    single = np.empty(shape, np.float32)
    batched = None if classifier.fixed_batch == 1 else np.empty(shape, np.float32)
    done = 0
    for batch in golden.batches(BATCH_SIZE):
        place = slice(done, done := done + len(batch))
        single[place] = ask_one_at_a_time(classifier, batch)
        if batched is not None:
            batched[place] = classifier.answer(batch)
        task.update(done)
    return Answers(single=single, batched=batched)


def no_answers(*shape: int) -> Answers:
    """Return the answers of a classifier that has none, [N, ...]: not a number, everywhere."""
    nothing = np.full(shape, np.nan, dtype=np.float32)
    return Answers(single=nothing, batched=nothing)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The comparison of an artifact with its reference, over all evaluation inputs."""

    images: int
    unanswered: int
    """Images for which some probability or number is not finite."""
    max_abs_diff: float
    mean_abs_diff: float
    """Of the probabilities or numbers, against the reference's, over all images."""
    max_batch_diff: float
    """Largest difference of one of them between an image alone and in a batch."""
    batches: bool = True
    """Whether there are two: a file that takes one image at a time has no batches to compare."""
    values: ValueFigures | None = None
    """Of numbers; None for classes, of which alone all that follows is."""
    classes: int = 0
    labelled: bool = True
    """Whether the true classes are known; the next three are 0 where they are not."""
    correct: int = 0
    """Images that the artifact labels as they should be."""
    broken: int = 0
    """Images that the reference labels so, and the artifact does not."""
    fixed: int = 0
    """Images that the artifact labels so, and the reference does not."""
    flips: int = 0
    """Images whose label is not the reference's."""
    ties: int = 0
    """Flips in which the artifact finds the reference's label as likely as its own, to the last bit."""
    batch_flips: int = 0
    """Images whose label depends on whether they come alone or in a batch."""
    max_sum_error: float = 0.0
    """Largest difference from 1 of Σ|p| over the classes: negative "probabilities" show as well."""

    @property
    def lost(self) -> int:
        """How many more images the reference labels correctly; negative where the artifact is better."""
        return self.broken - self.fixed

    @property
    def figures(self) -> dict[str, Any]:
        """What `ArtifactParity` says of it, by the names there."""
        same = ("values", "flips", "ties", "max_abs_diff", "mean_abs_diff", "batch_flips", "max_batch_diff")
        found = {name: getattr(self, name) for name in same}
        found["answers"] = "classes" if self.values is None else "numbers"
        found["agreement"] = None if self.values is not None else (self.images - self.flips) / self.images
        if not self.labelled:
            return found | dict.fromkeys(("accuracy", "accuracy_drop_points"))
        return found | {
            "significant_loss": self.significant_loss,
            "accuracy": self.correct / self.images,
            "accuracy_drop_points": 100.0 * self.lost / self.images,
            "accuracy_interval": wilson_interval(self.correct, self.images),
            "mcnemar_p": self.p_value,
        }

    @cached_property
    def p_value(self) -> float:
        """McNemar's p-value of the broken and the fixed images."""
        return mcnemar_p(self.broken, self.fixed)

    @property
    def significant_loss(self) -> bool:
        """Whether accuracy is lost, and chance does not explain it."""
        return is_significant_loss(self.broken, self.fixed)


def compare_values(reference: Probabilities, single: Probabilities, batched: Probabilities | None) -> Parity:
    """Compare numbers, float32 [N, ...], with the reference's; the arguments are those of `compare`.

    An input with a number that is not finite has no answer, and counts as 0 everywhere.
    """
    expected, alone = (values.reshape(len(reference), -1) for values in (reference, single))
    together = alone if batched is None else batched.reshape(len(reference), -1)
    answered = np.isfinite(alone).all(axis=1)
    settled = [np.where(np.isfinite(values), values, np.float32(0)).astype(np.float64) for values in (alone, together)]
    distance = np.abs(settled[0] - expected)
    spread = float(np.sqrt(expected.astype(np.float64).var(axis=0).mean())) or 1.0
    largest, mean = float(distance.max()), float(distance.mean())
    return Parity(
        images=len(expected),
        labelled=False,
        values=ValueFigures(
            largest=largest / spread,
            mean=mean / spread,
            # Not equal, which what is no number never is.
            differing=float(np.mean(~(alone == expected))),
            spread=spread,
        ),
        max_abs_diff=largest,
        mean_abs_diff=mean,
        max_batch_diff=float(np.abs(settled[0] - settled[1]).max()),
        batches=batched is not None,
        unanswered=int(np.count_nonzero(~answered)),
    )


def compare(
    reference: Probabilities, labels: Labels | None, single: Probabilities, batched: Probabilities | None
) -> Parity:
    """Compare an artifact's answers with the Keras model's.

    Args:
        reference: float32 [N, C], the Keras model's probabilities.
        labels: int64 [N], the true classes; None where nobody has said them.
        single: float32 [N, C], the artifact's answers to one image at a time. They are what a board does, so they are
            what is compared with the reference.
        batched: float32 [N, C], its answers to the same images in batches; None for a file that takes one at a time.

    An image with a probability that is not finite counts as one without an answer: no probability for any class, and
    no label, so that it can agree with nothing.
    """
    expected = reference.argmax(axis=1)
    answered = np.all(np.isfinite(single), axis=1)
    alone, alone_label = _settle(single)
    together, together_label = _settle(single if batched is None else batched)
    right, expected_right = (
        np.zeros(len(found), np.bool_) if labels is None else found == labels for found in (alone_label, expected)
    )
    flipped = alone_label != expected
    distance = np.abs(alone - reference)
    sums = np.abs(alone[answered]).sum(axis=1, dtype=np.float64)
    return Parity(
        images=len(reference),
        classes=reference.shape[1],
        labelled=labels is not None,
        correct=int(np.count_nonzero(right)),
        broken=int(np.count_nonzero(expected_right & ~right)),
        fixed=int(np.count_nonzero(right & ~expected_right)),
        flips=int(np.count_nonzero(flipped)),
        ties=int(np.count_nonzero(flipped & tie(single, expected))),
        max_abs_diff=float(distance.max()),
        mean_abs_diff=float(distance.mean(dtype=np.float64)),
        batch_flips=int(np.count_nonzero(alone_label != together_label)),
        max_batch_diff=float(np.abs(alone - together).max()),
        batches=batched is not None,
        unanswered=int(np.count_nonzero(~answered)),
        max_sum_error=float(np.abs(sums - 1.0).max(initial=0.0)),
    )


def tie(answers: Probabilities, labels: Labels) -> npt.NDArray[np.bool_]:
    """Return for each image, bool [N], whether `answers`, float32 [N, C], find no label more likely than the given one.

    In 8 bits two classes often are equally likely: the order of the classes decides which of them is then named.
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
    reference: Probabilities, answers: Probabilities, labels: Labels | None, class_labels: Sequence[str]
) -> list[Flip]:
    """Return the images to which `answers` give another label than `reference`, both float32 [N, C], in their order.

    `labels` are the true classes, int64 [N], or None. An answer with a probability that is not finite has no label.
    """
    expected = reference.argmax(axis=1)
    settled, found = _settle(answers)
    names = [as_digit(label) for label in class_labels]
    return [
        Flip(
            index=int(index),
            label=None if labels is None else names[labels[index]],
            reference=names[expected[index]],
            artifact=names[found[index]] if found[index] >= 0 else None,
            reference_margin=margin(reference[index]),
            artifact_margin=margin(settled[index]),
            kind=CHANGED if labels is None else _kind(int(labels[index]), int(expected[index]), int(found[index])),
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
