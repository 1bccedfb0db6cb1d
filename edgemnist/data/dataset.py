"""What a data set is, wherever it came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgemnist.results.data import DataIdentity, DataResult, SplitSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgemnist.arrays import Images, Labels


MNIST_IDENTITY = "23dd870693787a55a31be9018c77f59e2cf71c091d36e92e19b1f38736629bd0"
"""`DataIdentity.sha256` of the whole set, by which it is recognized wherever it lies."""


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
    directory: str | None = None
    """Absolute path of the directory that a user named; None for the cache, a download or the embedded images."""


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
    source = f"MNIST, {source}" if sha256 == MNIST_IDENTITY else source
    identity = DataIdentity(source=source, train=len(train), test=len(test), sha256=sha256, reduced=reduced)
    return Dataset(train=train, test=test, labels=tuple(labels), identity=identity)


def describe(dataset: Dataset) -> DataResult:
    """Return counts per class, ranges and checksums of both splits."""
    return DataResult(
        data=dataset.identity,
        labels=list(dataset.labels),
        train=summarize(dataset.train, dataset.labels),
        test=summarize(dataset.test, dataset.labels),
    )


def summarize(split: Split, labels: Sequence[str]) -> SplitSummary:
    """Return counts per class, range and checksum of one split."""
    counts = np.bincount(split.labels, minlength=len(labels)).tolist()
    return SplitSummary(
        images=len(split),
        per_class=dict(zip(labels, counts, strict=True)),
        minimum=int(split.images.min()),
        maximum=int(split.images.max()),
        mean=float(split.images.mean()),
        sha256=split_sha256(split),
    )
