"""Whether the model that learnt may replace the present one, on what evidence, and which labels look wrong."""

import math
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.field.samples import CLIENT
from edgemnist.ground.arrays import Labels
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.samples import Paired
from edgemnist.ground.results.verdict import OR_FEWER, UNKNOWN, Measurement
from edgemnist.ground.results.verify import SIGNIFICANT
from edgemnist.pipeline.verify.gate import GATES, IMAGES, Gate
from edgemnist.pipeline.verify.statistics import mcnemar_p, wilson_interval

MOST_LOST: Final = 0.0005
"""Share of the golden pack that may be lost, rounded to images: one of 1,000, which is noise, and none of 999."""
MOST_BROKEN: Final = 0.01
"""Share of the golden pack that the present model gets right and the new one wrong."""
LEAST_READ: Final = 0.5
"""Share of the samples that the new model has to read: what is wrong more often than right is no reader of them."""


def measurements(
    held_out: Paired, golden: Paired, doubted: int, first_right: int | None = None, gate: Gate = GATES["float32"]
) -> list[Measurement]:
    """Return what decides whether the new model may replace the present one.

    `doubted` is the number of labels that look wrong and that no person has looked at since. `first_right` is how many
    images of the golden pack the model before the first lesson got right, where that is known: small losses add up. It
    has to have as many images as `gate` asks for.
    """
    fixed, broken, images = held_out.fixed, held_out.broken, held_out.images
    few = (
        f"The labels are too few to tell whether it is better: {fixed} fixed and {broken} broken of {images} may be "
        f"chance (p = {1 if held_out.p_value is None else held_out.p_value:.2f}). Label more samples."
    )
    worse = f"It is not better on labels that it has not learnt from: {fixed} fixed, {broken} broken."
    reads = (
        f"It reads only {percent(held_out.after / images, 0)} of the samples that it has not learnt from. "
        "Label more samples."
    )
    allowed = int(MOST_LOST * golden.images + 0.5)
    lost = max(golden.before, first_right or 0) - golden.after
    since = " since the first lesson" if (first_right or 0) > golden.before else ""
    pack = count(golden.images, "input")
    look = f"{count(doubted, 'label')} may be wrong, and nobody has looked again."
    lose = f"It is worse on the golden pack: {lost:,} of {pack} lost{since}, {allowed:,} allowed."
    other = f"It is another model on the golden pack: {golden.broken:,} of {pack} broken."
    more = f"; {OR_FEWER}" * gate.is_built_in(IMAGES)
    small = f"The golden pack has only {pack}, and {gate[IMAGES]:,.0f} are needed to judge{more}."
    p_value, most = held_out.p_value if fixed > broken else 0.0, math.nextafter(SIGNIFICANT, 0)
    return [
        Measurement("doubted", doubted, look, most=0),
        Measurement("fixed", fixed, worse, least=broken + 1),
        Measurement("p_value", p_value, few, most=most, unknown=few, otherwise=UNKNOWN),
        Measurement("read", held_out.after, reads, least=LEAST_READ * images),
        Measurement("golden_lost", lost, lose, most=allowed),
        Measurement("golden_broken", golden.broken, other, most=MOST_BROKEN * golden.images),
        Measurement(IMAGES, golden.images, small, least=gate[IMAGES], origin=gate.origin(IMAGES), otherwise=UNKNOWN),
    ]


FOLDS: Final = 4
MOST_OF_ONE: Final = 0.5
"""Share of the lesson that one client may give, and so of each fold."""

SURE: Final = (0.5, 0.9)
"""Probability below which no answer contradicts a label, and from which every other answer does."""


def folds_of(labels: Labels, writers: Sequence[str], seed: int) -> list[npt.NDArray[np.int64]]:
    """Return the indices of each fold: of every class the same number, give or take one, and of its writers, too.

    `labels` are int64 [N]. Which samples of a writer and class go where is drawn.
    """
    drawn = np.random.default_rng(seed).permutation(len(labels))
    order = np.array(sorted(drawn, key=lambda one: (labels[one], writers[one])), np.int64)
    return [np.sort(order[first::FOLDS]) for first in range(FOLDS)]


def within_share(writers: Sequence[str], seed: int) -> list[int]:
    """Return the indices of the samples to learn from, in order: of a client no more than `MOST_OF_ONE` of them.

    A person's samples all count. Of the client who gives too many, the ones to keep are drawn.
    """
    every = list(range(len(writers)))
    client, given = max(
        Counter(one for one in writers if one.startswith(CLIENT)).items(), key=itemgetter(1), default=("", 0)
    )
    most = int((len(writers) - given) * MOST_OF_ONE / (1 - MOST_OF_ONE))
    if given <= most:
        return every
    own = [one for one in every if writers[one] == client]
    kept = set(np.random.default_rng(seed).permutation(own)[:most].tolist())
    return [one for one in every if writers[one] != client or one in kept]


def paired(before: Labels, after: Labels, truth: Labels) -> Paired:
    """Return how two models compare that answered the same images, classes int64 [N]."""
    was, is_ = before == truth, after == truth
    fixed, broken = int((~was & is_).sum()), int((was & ~is_).sum())
    return Paired(
        images=len(truth),
        before=int(was.sum()),
        after=int(is_.sum()),
        before_interval=wilson_interval(int(was.sum()), len(truth)),
        after_interval=wilson_interval(int(is_.sum()), len(truth)),
        fixed=fixed,
        broken=broken,
        p_value=mcnemar_p(broken, fixed),
    )


def doubts(probabilities: npt.NDArray[np.float32], labels: Labels) -> npt.NDArray[np.int64]:
    """Return, for each sample, the class that contradicts its label, or -1 where none does: int64 [N].

    `probabilities`, float32 [N, C], are those of models that have not learnt the sample. A class contradicts a label if
    it is what they answer, and they are as sure of it as they are of the samples with that label on average (confident
    learning, C. Northcutt et al., 2021), within `SURE`.
    """
    return _contradicting(probabilities, labels, _sure(probabilities, labels))


def found_of_planted(probabilities: npt.NDArray[np.float32], labels: Labels) -> float:
    """Return the share of labels that `doubts` would find if each of them, alone, were changed to any other class.

    Counted over the labels that it does not doubt, since most of these are right. Models that learn from many wrong
    labels at once find fewer.
    """
    sure = _sure(probabilities, labels)
    right = _contradicting(probabilities, labels, sure) < 0
    classes = probabilities.shape[1]
    found: int = sum(
        int((_contradicting(probabilities[right], (labels[right] + step) % classes, sure) >= 0).sum())
        for step in range(1, classes)
    )
    return float(found / max(1, int(right.sum()) * (classes - 1)))


def _sure(probabilities: npt.NDArray[np.float32], labels: Labels) -> npt.NDArray[np.float64]:
    """Return the mean probability of each class among the samples with its label, within `SURE`: float64 [C]."""
    own = probabilities[np.arange(len(labels)), labels]
    classes = probabilities.shape[1]
    of_each = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, own, minlength=classes)
    return np.clip(np.where(of_each > 0, sums / np.maximum(1, of_each), 1), *SURE)


def _contradicting(
    probabilities: npt.NDArray[np.float32], labels: Labels, sure: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    answers = probabilities.argmax(axis=1)
    doubted = (answers != labels) & (probabilities.max(axis=1) >= sure[answers])
    return np.where(doubted, answers, -1)
