"""Which samples a reviewer sees, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from edgemnist.results.pictures import DIGITS
from edgemnist.samples import CORRECTION, DISAGREEMENT, DOUBTFUL, IMPORTED, NOT_A_DIGIT, REFUSED, UNIFORM, Sample

_SUSPICION: Final = (CORRECTION, DISAGREEMENT, REFUSED, DOUBTFUL, UNIFORM, IMPORTED)
"""Reasons, the most suspicious first."""


def to_review(samples: Iterable[Sample], writer: str) -> list[Sample]:
    """Return the samples that a writer should look at, the most suspicious first.

    These are samples without a label, samples whose labels differ, and corrections that nobody else has confirmed.
    """
    shown = [one for one in samples if one.disputed or not one.labels or _is_unconfirmed(one, writer)]
    return sorted(shown, key=lambda one: (not one.disputed, _SUSPICION.index(one.reason), one.confidence, one.id))


def _is_unconfirmed(sample: Sample, writer: str) -> bool:
    return sample.reason == CORRECTION and len(sample.labels) == 1 and sample.labels[0].writer != writer


def classes_of(samples: Iterable[Sample]) -> Sequence[str]:
    """Return the classes that labels may name: the ten digits, or all that were answered and labelled."""
    found = {name for one in samples for name in (one.answer, *(label.label for label in one.labels)) if name}
    found.discard(NOT_A_DIGIT)
    return DIGITS if found <= set(DIGITS) else sorted(found)
