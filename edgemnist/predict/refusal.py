"""Whether a picture shows one digit at all: a classifier of ten digits answers for a letter or a page as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from edgemnist.images.normalize import Normalized

DIGITS: Final = tuple("0123456789")
WIDE: Final = 1.3
"""Width by height of what is more likely several digits than one: of MNIST's digits none is wider than 1.25."""

DIGIT: Final = "digit"
NO_DIGIT: Final = "no-digit"
SEVERAL: Final = "several"


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture beside what the model answers."""

    likeness: list[float] | None = None
    """Probability that it is each of the ten digits, [10]; None for a model of other classes."""
    several: bool = False
    """Whether as much ink stands beside the digit."""
    wide: bool = False
    """Whether the ink is wider than a digit."""


def assess(found: Normalized) -> Assessment:
    """Return what the likeness network and the layout of the ink say about a picture."""
    from edgemnist.read.likeness import shipped_network

    likeness = [float(value) for value in shipped_network().digit_likeness(found.image[None])[0]]
    _, _, width, height = found.box
    return Assessment(likeness=likeness, several=found.several, wide=width > WIDE * height)


def verdict(assessment: Assessment | None, probabilities: Sequence[float]) -> str | None:
    """Return `digit`, `no-digit` or `several`; None for a model of other classes than the ten digits.

    The threshold is that of `edgemnist read`, and so is what is compared with it: the model's confidence times the
    likeness to the very digit that it answers.
    """
    if assessment is None or assessment.likeness is None:
        return None
    from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE

    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    if probabilities[best] * assessment.likeness[best] >= DEFAULT_MIN_CONFIDENCE:
        return SEVERAL if assessment.several else DIGIT
    return SEVERAL if assessment.wide else NO_DIGIT
