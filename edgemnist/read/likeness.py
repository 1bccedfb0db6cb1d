"""How much something looks like the digit that it was read as: what a classifier of ten digits cannot say of a letter.

A softmax over ten digits gives a letter to the digit that is least unlike it, often with confidence. So a second
opinion comes from a small convolutional network that knows an eleventh class: everything else. Like the digit model, it
is an int8 file. The engine executes it, or NumPy if the engine is not installed, with the same bits. It comes with the
package; `edgemnist train-likeness` made it, and `likeness.json` records how.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images
from edgemnist.errors import ArtifactError
from edgemnist.read.provenance import RECORD_FILE, REINSTALL, WEIGHTS_FILE, LikenessRecord, read_record
from edgemnist.runtimes import RUNTIMES, load
from edgemnist.storage import sha256

CLASSES: Final = (*"0123456789", "no digit")
EXACT: Final = ("native", "integer")
"""Runtimes that give the same bits, the fastest first; the last one needs NumPy alone."""


class LikenessNetwork:
    """The network in a file."""

    def __init__(self, path: Path) -> None:
        """Raises ArtifactError for anything but a full-int8 TFLite file with these classes."""
        runtime = next(name for name in EXACT if not RUNTIMES[name].missing())
        self._classifier = load(path, runtime=runtime, labels=CLASSES)

    def digit_likeness(self, images: Images) -> npt.NDArray[np.float32]:
        """Return the probability that each image, uint8 [N, 28, 28], is each of the ten digits: float32 [N, 10].

        What is missing to 1 is the probability that it is no digit at all.
        """
        return self._classifier.predict_proba(images)[:, :-1]


@cache
def shipped_network(weights: Path = WEIGHTS_FILE, record: Path = RECORD_FILE) -> LikenessNetwork:
    """Return the network that comes with the package.

    Raises ArtifactError if a file of it is missing, damaged, or not the recorded one.
    """
    recorded = read_record(record, LikenessRecord)
    try:
        data = weights.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{weights} cannot be read: {error.strerror}", hint=REINSTALL) from error
    if sha256(data) != recorded.sha256:
        raise ArtifactError(f"{weights} is damaged: its SHA-256 is not the recorded one", hint=REINSTALL)
    return LikenessNetwork(weights)
