"""One verdict for each image: which digit, and how surely it is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels
from edgemnist.read.likeness import LikenessNetwork, shipped_network
from edgemnist.runtimes.interface import Classifier

DIGITS: Final = tuple("0123456789")


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
    """Return the most probable class of each image, uint8 [N, 28, 28], and the probability that it is of this class.

    A classifier of the ten digits supposes that what it sees is a digit, and says which; its probability is multiplied
    by the likeness to this very digit, as `network` sees it, which is the one of the package by default. A classifier
    of other things is taken at its word. Raises ArtifactError if the package's network is damaged.
    """
    alone = probabilities = classifier.predict_proba(images)
    if tuple(classifier.labels) == DIGITS:
        # Where one of the two hesitates between two digits, the other decides.
        probabilities = alone * (network or shipped_network()).digit_likeness(images)
    classes = probabilities.argmax(axis=1)
    return Verdicts(classes, probabilities.max(axis=1), np.take_along_axis(alone, classes[:, None], axis=1)[:, 0])
