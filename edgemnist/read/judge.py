"""One verdict for each image: which digit, and how surely it is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels
from edgemnist.read.likeness import LikenessNetwork, shipped_network
from edgemnist.results.pictures import DIGITS
from edgemnist.runtimes.interface import Classifier, check_answers

TEMPER: Final = np.float32(1 / 3)
"""Power of the classifier's probabilities: it has seen one kind of handwriting, and is too sure of all others."""
LEAST: Final = np.float32(1 / 512)
"""An int8 softmax has steps of 1/256, so that what is less than half a step is not told from nothing."""
SHARPNESS: Final = 4
"""Power of the share of the most probable digit. Among digits, those that lie between two are wrong more often than
those that look odd: refused are as many, and fewer answers are wrong."""


@dataclass(frozen=True)
class Verdicts:
    """Answers for N images."""

    classes: Labels
    """int64 [N]."""
    confidences: npt.NDArray[np.float32]
    """float32 [N]."""
    probabilities: npt.NDArray[np.float32]
    """float32 [N]: that of the class as the classifier alone sees it, which supposes a digit."""


def judge(classifier: Classifier, images: Images, network: LikenessNetwork | None = None) -> Verdicts:
    """Return the most probable class of each image, uint8 [N, 28, 28], and how surely it is of this class.

    A classifier of the ten digits supposes that what it sees is a digit, and says which. `network`, which is the one of
    the package by default, says how much of a digit it is, and which; what both say decides, and what lies between two
    digits is less sure than it is a digit. A classifier of other things is taken at its word. Raises ArtifactError if
    the package's network is damaged, or an answer is not finite.
    """
    alone = check_answers(classifier.predict_proba(images))
    if tuple(classifier.labels) != DIGITS:
        return Verdicts(alone.argmax(axis=1), alone.max(axis=1), alone.max(axis=1))
    likeness = (network or shipped_network()).digit_likeness(images)
    weighed = np.maximum(alone, LEAST) ** TEMPER * likeness
    classes = weighed.argmax(axis=1)
    share = weighed.max(axis=1) / np.maximum(weighed.sum(axis=1), np.finfo(np.float32).tiny)
    confidences = likeness.sum(axis=1) * share**SHARPNESS
    return Verdicts(classes, confidences, np.take_along_axis(alone, classes[:, None], axis=1)[:, 0])
