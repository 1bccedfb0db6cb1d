"""A runtime that computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.results.pictures import DIGITS
from edgemnist.model.runtimes.interface import Classifier, Options, Steps


class NullClassifier(Classifier):
    """Gives every class the same probability: what is measured with it is the harness, not a model."""

    def __init__(self, labels: Sequence[str] = DIGITS) -> None:
        self.labels = tuple(labels)
        self.classes_ = np.arange(len(self.labels), dtype=np.int64)

    @classmethod
    def load(cls, path: Path, **options: Unpack[Options]) -> NullClassifier:
        """Return a classifier for ten digits, or for `labels`. The file is not looked at and need not exist."""
        del path
        made = cls(options.get("labels") or DIGITS)
        made.spec = options.get("spec") or made.spec
        return made

    def steps(self) -> Steps:
        """Return steps that do nothing: what is timed with them is the timed loop alone."""
        return Steps(prepare=lambda _: None, invoke=lambda: None, finish=lambda: None)

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return 1/C for every class; see `Classifier.predict_proba`."""
        return np.full((len(self.spec.check(images)), len(self.labels)), 1 / len(self.labels), dtype=np.float32)
