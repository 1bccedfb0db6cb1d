"""The handwritten digits that the benchmarks are made of."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from edgemnist.data.sources import read_directory
from edgemnist.train_likeness.synthetic.digits import Digits

REPOSITORY = Path(__file__).parents[3]
MNIST = os.environ.get("EDGEMNIST_DATA")
"""Directory of the full MNIST; without it, the evaluation images of the reference are taken."""
REFERENCE_PACK = REPOSITORY / "exports" / "reference" / "golden.npz"


def evaluation_digits() -> Digits:
    """Return the 10,000 MNIST test digits: those of $EDGEMNIST_DATA, or else those of the reference."""
    if MNIST:
        test = read_directory(Path(MNIST)).test
        return Digits(test.images, test.labels)
    with np.load(REFERENCE_PACK, allow_pickle=False) as pack:
        return Digits(pack["images"], pack["labels"].astype(np.int64))
