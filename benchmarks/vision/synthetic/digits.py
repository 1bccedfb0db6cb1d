"""The handwritten digits that the benchmarks are made of."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from edgemnist.pipeline.data.sources import read_dataset
from tools.likeness.page import Digits

REPOSITORY = Path(__file__).parents[3]
REFERENCE_PACK = REPOSITORY / "exports" / "reference" / "golden.npz"


def evaluation_digits() -> Digits:
    """Return the 10,000 MNIST test digits: those of $EDGEMNIST_DATA, or else those of the reference."""
    # Asked for in every call: the tests take the variable away, so that they are the same for everybody.
    if directory := os.environ.get("EDGEMNIST_DATA"):
        test = read_dataset(Path(directory)).test
        return Digits(test.images, test.labels)
    with np.load(REFERENCE_PACK, allow_pickle=False) as pack:
        return Digits(pack["images"], pack["labels"].astype(np.int64))
