"""Whether a picture shows one digit at all: a classifier of digits also answers for a letter or a page."""

import math
from collections.abc import Sequence
from typing import Final

from edgemnist.digits.task import DIGIT, NO_DIGIT, SEVERAL
from edgemnist.model.task import Assessment, Fitted

WIDE: Final = 1.3
"""Width by height from which on what is no digit is more likely several of them than a letter or a scribble."""
TOO_WIDE: Final = 2.5
"""Width by height that no digit has: of 2,400, a 1 that lies nearly flat has 2.25."""
MANY: Final = 3
"""So many pieces of ink are several things, and not one scribble."""
MIN_AGREEMENT: Final = 0.065
"""Agreement of model and likeness network below which a picture is no digit. Of MNIST's test digits 0.5 % have less, of
letters that are no digits in themselves 99.0 %, of scikit-learn's digits 2.8 %."""


def assess(found: Fitted) -> Assessment:
    """Return what the likeness network and the layout of the ink say about a picture."""
    from edgemnist.digits.images.find import NOBODY, crowd
    from edgemnist.digits.read.likeness import shipped_network

    likeness = [float(value) for value in shipped_network().digit_likeness(found.image[None])[0]]
    _, _, width, height = found.box
    aspect = width / max(1, height)
    ink = NOBODY if found.grey is None else crowd(found.grey, dark=found.inverted)
    return Assessment(
        likeness=likeness,
        several=found.several or (ink.crowded and ink.pieces >= MANY),
        crowded=ink.crowded,
        single=ink.single,
        dotted=ink.dotted,
        aspect=aspect,
    )


def verdict(assessment: Assessment | None, probabilities: Sequence[float]) -> str | None:
    """Return `digit`, `no-digit` or `several`; None for a model that does not read digits.

    What the layout of the ink rules out is no digit, whatever the model and the network make of it: a page scaled down
    to 28×28 pixels may look like anything.
    """
    if assessment is None or assessment.likeness is None:
        return None
    # A dash is wider than any digit, but no row of digits.
    if assessment.several or assessment.aspect > TOO_WIDE:
        return NO_DIGIT if assessment.single else SEVERAL
    if assessment.dotted:
        return NO_DIGIT
    if not assessment.crowded and agreement(probabilities, assessment.likeness) >= MIN_AGREEMENT:
        return DIGIT
    column = assessment.crowded and assessment.aspect < 1 / TOO_WIDE
    return SEVERAL if column or (assessment.aspect > WIDE and not assessment.single) else NO_DIGIT


def agreement(probabilities: Sequence[float], likeness: Sequence[float]) -> float:
    """Return how far a model and the likeness network see the same digits, 0 to 1, whichever of them it is.

    It is the squared Bhattacharyya coefficient of the model's probabilities, [10], and the network's, [10], which add
    up to less than 1 for what is no digit. Where the two hesitate between the same digits, the picture is one of them:
    `edgemnist read`, which has to name it, asks for more.
    """
    return sum(math.sqrt(max(0.0, p * q)) for p, q in zip(probabilities, likeness, strict=True)) ** 2
