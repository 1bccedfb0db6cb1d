"""One verdict for each image: which digit, and how surely it is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels
from edgemnist.read.likeness import digit_likeness
from edgemnist.runtimes.interface import Classifier

DIGITS: Final = tuple("0123456789")


@dataclass(frozen=True)
class Verdicts:
    """Answers for N images."""

    classes: Labels
    """int64 [N]."""
    confidences: npt.NDArray[np.float32]
    """float32 [N]."""


def judge(classifier: Classifier, images: Images) -> Verdicts:
    """Return the most probable class of each image, uint8 [N, 28, 28], and the probability that it is of this class.

    A classifier of the ten digits supposes that what it sees is a digit, and says which; its probability is multiplied
    by the likeness to this very digit. A classifier of other things is taken at its word.
    """
    probabilities = classifier.predict_proba(images)
    classes = probabilities.argmax(axis=1)
    confidences = probabilities.max(axis=1)
    if tuple(classifier.labels) == DIGITS:
        confidences = confidences * digit_likeness(images)[np.arange(len(images)), classes]
    return Verdicts(classes, confidences)
