"""What a data set is, in one hash: over its images and labels, whatever files held them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgemnist.data.interface import Dataset, Split
from edgemnist.data.mnist import IDENTITY
from edgemnist.results import DataIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence


def split_sha256(split: Split) -> str:
    """Return the SHA-256 over shapes, images (as bytes) and labels (as little-endian int64), in hexadecimal."""
    digest = hashlib.sha256()
    for values in (split.images, split.labels.astype("<i8", copy=False)):
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def dataset_sha256(train: Split, test: Split) -> str:
    """Return the SHA-256 over the hashes of both splits, in hexadecimal."""
    return hashlib.sha256(f"{split_sha256(train)} {split_sha256(test)}".encode()).hexdigest()


def identified(train: Split, test: Split, labels: Sequence[str], *, source: str, reduced: bool = False) -> Dataset:
    """Return the data set of two splits, with its identity. MNIST is recognized, and named in the source."""
    sha256 = dataset_sha256(train, test)
    source = f"MNIST, {source}" if sha256 == IDENTITY else source
    identity = DataIdentity(source=source, train=len(train), test=len(test), sha256=sha256, reduced=reduced)
    return Dataset(train=train, test=test, labels=tuple(labels), identity=identity)
