"""What a data set is, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgemnist.arrays import Images, Labels
    from edgemnist.results import DataIdentity


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes."""

    images: Images
    """uint8 [N, 28, 28], white digit on black."""
    labels: Labels
    """int64 [N], indices into `Dataset.labels`."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training split to learn from, and a test split that is only ever evaluated."""

    train: Split
    test: Split
    labels: tuple[str, ...]
    """Name of each class, `0` to `9` for MNIST."""
    identity: DataIdentity
