"""What a classifier answers: to one image at a time, and to many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Labels, Probabilities, as_number
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
    impurity: float = 0.0
    """Gini impurity of the reference's answers on average: 0 where it is always sure, below 1."""
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
    batch_broken: int = 0
    batch_fixed: int = 0
    """As `broken` and `fixed`, of its answers to batches."""
    batch_flips: int = 0
    """Images whose label depends on whether they come alone or in a batch."""
    max_sum_error: float = 0.0
    """Largest difference from 1 of Σ|p| over the classes: negative "probabilities" show as well."""

    @property
    def lost(self) -> int:
        """How many more images the reference labels correctly; negative where the artifact is better."""
        return self.broken - self.fixed

    @property
    def in_batches(self) -> "Parity":
        """The same with what is right of the answers to batches."""
        return replace(self, broken=self.batch_broken, fixed=self.batch_fixed)

    @property
    def figures(self) -> dict[str, Any]:
        """What `ArtifactParity` says of it, by the names there."""
        same = ("values", "flips", "ties", "max_abs_diff", "mean_abs_diff", "batch_flips", "max_batch_diff")
        found = {name: getattr(self, name) for name in same}
        found["answers"] = "classes" if self.values is None else "numbers"
        found["reference_impurity"] = None if self.values is not None else self.impurity
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


def spread_of(numbers: Probabilities) -> float:
    """Return the standard deviation of numbers, float32 [N, ...], over the inputs, of all outputs together."""
    return float(np.sqrt(numbers.var(axis=0, dtype=np.float64).mean()))


def compare(
    reference: Probabilities,
    labels: Labels | None,
    single: Probabilities,
    batched: Probabilities | None,
    *,
    numbers: bool = False,
) -> Parity:
    """Compare the answers of an artifact with a reference's, all float32 [N, C], or [N, ...] of `numbers`.

    `single` are those to one image at a time, which is what a board does, and so what is compared; `batched` those to
    the same images in batches, None for a file that takes one at a time. `labels` are the true classes, int64 [N]; None
    for numbers, and where nobody has said them.

    An image with a number that is not finite counts as one without an answer: 0 everywhere, and no label, so that it
    can agree with nothing.
    """
    alone, answered = _settled(single)
    together, answered_together = _settled(single if batched is None else batched)
    distance = np.abs(alone - reference)
    found = Parity(
        images=len(reference),
        unanswered=int(np.count_nonzero(~answered)),
        max_abs_diff=float(distance.max()),
        mean_abs_diff=float(distance.mean(dtype=np.float64)),
        max_batch_diff=float(np.abs(alone - together).max()),
        batches=batched is not None,
        labelled=labels is not None,
    )
    if numbers:
        spread = spread_of(reference) or 1.0
        values = ValueFigures(
            largest=found.max_abs_diff / spread,
            mean=found.mean_abs_diff / spread,
            # Not equal, which what is no number never is.
            differing=float(np.mean(~(single == reference))),
            spread=spread,
        )
        return replace(found, values=values)
    expected, label = reference.argmax(axis=1), _labels(alone, answered)
    label_together = _labels(together, answered_together)
    right, right_together, expected_right = (
        np.zeros(len(one), np.bool_) if labels is None else one == labels for one in (label, label_together, expected)
    )
    flipped = label != expected
    # In 8 bits two classes often are equally likely: the order of the classes decides which of them is then named.
    tied = answered & (np.take_along_axis(alone, expected[:, None], axis=1)[:, 0] == alone.max(axis=1))
    sums = np.abs(alone[answered]).sum(axis=1, dtype=np.float64)
    return replace(
        found,
        classes=reference.shape[1],
        # Probabilities may add up to a little more than 1.
        impurity=max(0.0, float(1.0 - np.square(reference, dtype=np.float64).sum(axis=1).mean())),
        correct=int(np.count_nonzero(right)),
        broken=int(np.count_nonzero(expected_right & ~right)),
        fixed=int(np.count_nonzero(right & ~expected_right)),
        flips=int(np.count_nonzero(flipped)),
        ties=int(np.count_nonzero(flipped & tied)),
        batch_broken=int(np.count_nonzero(expected_right & ~right_together)),
        batch_fixed=int(np.count_nonzero(right_together & ~expected_right)),
        batch_flips=int(np.count_nonzero(label != label_together)),
        max_sum_error=float(np.abs(sums - 1.0).max(initial=0.0)),
    )


def _settled(answers: Probabilities) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """Return answers, [N, ...], all 0 for an image where one is not finite, and where all are finite, bool [N]."""
    answered = np.asarray(np.isfinite(answers).reshape(len(answers), -1).all(axis=1))
    settled = answers.copy()
    settled[~answered] = 0
    return settled, answered


def _labels(settled: Probabilities, answered: npt.NDArray[np.bool_]) -> Labels:
    return np.where(answered, settled.argmax(axis=1), -1)


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
    settled, answered = _settled(answers)
    found = _labels(settled, answered)
    names = [as_number(label) for label in class_labels]
    return [
        Flip(
            index=int(index),
            label=None if labels is None else names[labels[index]],
            reference=names[expected[index]],
            artifact=names[found[index]] if found[index] >= 0 else None,
            reference_margin=margin(reference[index]),
            artifact_margin=margin(settled[index]),
            kind=_kind(None if labels is None else labels[index], expected[index], found[index]),
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


def _kind(label: int | None, reference: int, artifact: int) -> str:
    return BROKEN if reference == label else FIXED if artifact == label else CHANGED
