"""The handwritten digits that the synthetic pictures are made of."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

REPOSITORY = Path(__file__).parents[3]
MNIST = REPOSITORY.parent / "shared" / "mnist"
REFERENCE_PACK = REPOSITORY / "exports" / "reference" / "golden.npz"


@dataclass(frozen=True)
class Digits:
    """Handwritten digits with their labels."""

    images: npt.NDArray[np.uint8]
    """uint8 [N, 28, 28], white on black."""
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, rng: np.random.Generator) -> Digits:
        """Return `count` of them, each at most once where there are enough."""
        chosen = rng.choice(len(self), size=count, replace=count > len(self))
        return Digits(self.images[chosen], self.labels[chosen])


def evaluation_digits() -> Digits:
    """Return the 10,000 MNIST test digits: from the full data set beside the repository, else from the reference."""
    if MNIST.is_dir():
        return _idx("t10k")
    with np.load(REFERENCE_PACK, allow_pickle=False) as pack:
        return Digits(pack["images"], pack["labels"].astype(np.int64))


VALIDATION = 10_000
"""How many of the last training digits are held out for thresholds."""


def validation_digits(count: int = VALIDATION) -> Digits:
    """Return the last MNIST training digits, on which thresholds are set. Needs the full data set."""
    training = _idx("train")
    return Digits(training.images[-count:], training.labels[-count:])


def training_digits() -> Digits:
    """Return the 60,000 MNIST training digits. Needs the full data set."""
    return _idx("train")


def _idx(split: str) -> Digits:
    images = gzip.decompress((MNIST / f"{split}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((MNIST / f"{split}-labels-idx1-ubyte.gz").read_bytes())
    return Digits(
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )
