"""Whether the model that learnt may replace the present one, on what evidence, and which labels look wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels
from edgemnist.formatting import count
from edgemnist.results.samples import Contradiction, Paired
from edgemnist.verify.statistics import mcnemar_p, wilson_interval

if TYPE_CHECKING:
    from edgemnist.samples import Sample

SIGNIFICANT: Final = 0.05
"""Significance level of McNemar's test, on held-out samples."""
MOST_LOST: Final = 0.0005
"""Share of the golden pack that may be lost, but one image at least: a single one is noise."""


def gate(held_out: Paired, golden: Paired) -> list[str]:
    """Return why the new model must not replace the present one, in sentences; none if it may."""
    reasons = []
    if held_out.fixed <= held_out.broken:
        reasons.append(
            f"It is not better on labels that it has not learnt from: {held_out.fixed} fixed, {held_out.broken} broken."
        )
    elif held_out.p_value is None or held_out.p_value >= SIGNIFICANT:
        reasons.append(
            f"The labels are too few to tell whether it is better: {held_out.fixed} fixed and {held_out.broken} broken "
            f"of {held_out.images} may be chance (p = {held_out.p_value or 1:.2f}). Label more samples."
        )
    lost, allowed = golden.before - golden.after, max(1, int(MOST_LOST * golden.images))
    if lost > allowed:
        reasons.append(
            f"It is worse on the golden pack: {lost:,} of {count(golden.images, 'image')} lost, {allowed:,} allowed."
        )
    return reasons


FOLDS: Final = 4
NEIGHBOURS: Final = 5
"""Neighbours of a sample, among the other samples and the training images."""
NEIGHBOUR_IMAGES: Final = 10_000
"""Training images to look for neighbours among."""
AGREEING: Final = 4
"""Neighbours that must agree on the same other label."""
SURE: Final = 0.9
"""Probability that the present model must give that label, too."""


def folds_of(count: int) -> list[npt.NDArray[np.int64]]:
    """Return the indices of each fold: consecutive samples, so that those of a writer stay together."""
    return np.array_split(np.arange(count), FOLDS)


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


@dataclass(frozen=True, eq=False)
class Known:
    """Images with labels, as the hidden layers of the present model see them."""

    features: npt.NDArray[np.float32]
    """float32 [N, features], each of length 1."""
    labels: Labels


def features_of(hidden: Callable[[Images], npt.NDArray[np.float32]], images: Images) -> npt.NDArray[np.float32]:
    """Return the last hidden layer's outputs for images, uint8 [N, 28, 28]: float32 [N, features], each of length 1."""
    found = hidden(images)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6), np.float32)


def contradictions(
    samples: Sequence[Sample], own: Known, probabilities: npt.NDArray[np.float32], training: Known, names: Sequence[str]
) -> list[Contradiction]:
    """Return the samples whose label nearly all their neighbours and the present model contradict.

    `own` and `probabilities`, float32 [N, C], are those of the samples.
    """
    features = np.concatenate([own.features, training.features])
    labels = np.concatenate([own.labels, training.labels])
    likeness = own.features @ features.T
    # Nobody is their own neighbour.
    likeness[np.arange(len(samples)), np.arange(len(samples))] = -np.inf
    nearest = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    found = []
    for number, one in enumerate(samples):
        votes = np.bincount(labels[nearest[number]])
        other = int(votes.argmax())
        if other != own.labels[number] and votes[other] >= AGREEING and probabilities[number, other] >= SURE:
            writers = [label.writer for label in one.labels]
            found.append(
                Contradiction(
                    sample=one.id, label=names[int(own.labels[number])], neighbours=names[other], writers=writers
                )
            )
    return found
