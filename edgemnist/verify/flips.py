"""Every image whose label changed, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgemnist.arrays import Labels, Probabilities
from edgemnist.labels import as_digit
from edgemnist.results import Flip

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
    finite = np.all(np.isfinite(answers), axis=1)
    settled = np.where(finite[:, None], answers, np.float32(0.0))
    expected = reference.argmax(axis=1)
    found = np.where(finite, settled.argmax(axis=1), -1)
    names = [as_digit(label) for label in class_labels]
    return [
        Flip(
            index=int(index),
            label=names[labels[index]],
            reference=names[expected[index]],
            artifact=names[found[index]] if finite[index] else None,
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
