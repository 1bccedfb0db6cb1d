"""What a data set is, wherever it came from, and how images are drawn from it, evenly over the classes.

The order comes from the raw stream of PCG64, which NumPy keeps the same in every version (NEP 19); the streams of
`Generator.choice` and `Generator.permutation` may change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels
from edgemnist.errors import DataError, UsageError
from edgemnist.results.data import DataIdentity, DataResult, SplitSummary

MNIST_IDENTITY = "23dd870693787a55a31be9018c77f59e2cf71c091d36e92e19b1f38736629bd0"
"""`DataIdentity.sha256` of the whole set, which identifies it wherever it lies."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes."""

    images: Images
    """uint8 [N, 28, 28], white digit on black."""
    labels: Labels
    """int64 [N], indices into `Dataset.labels`."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Labels) -> Split:
        """Return the images and classes of these indices, int64 [M], in their order."""
        return Split(self.images[indices], self.labels[indices])


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


def identified(train: Split, test: Split, labels: Sequence[str], *, source: str, reduced: bool = False) -> Dataset:
    """Return the data set of two splits, with its identity. MNIST is recognized, and named in the source."""
    sha256 = hashlib.sha256(f"{split_sha256(train)} {split_sha256(test)}".encode()).hexdigest()
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


def stratified_indices(labels: npt.ArrayLike, count: int, seed: int) -> Labels:
    """Return `count` indices into `labels` [N], as evenly over the classes as they allow: int64 [count], sorted.

    The same labels, count and seed (0 or more) give the same indices everywhere, and a smaller count gives a subset
    of what a larger one gives.

    Raises UsageError if `count` is below 1, and DataError if it is more than there are.
    """
    values = np.asarray(labels)
    if count < 1:
        raise UsageError(f"The number of images must be at least 1 (got {count})")
    if count > len(values):
        raise DataError(
            f"{count:,} images were asked for, but there are only {len(values):,}",
            hint=f"Ask for at most {len(values):,}.",
        )
    _, classes, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.sort(_draw(classes, _even_quotas(sizes, count), _keys(len(values), seed)))


def stratified_split(labels: npt.ArrayLike, share: float, seed: int) -> tuple[Labels, Labels]:
    """Split [N] into two sets of indices, int64, the second with `share` of each class (at least one image of it).

    Both come in random order, so that any first few of them are a fair sample. The same arguments give the same split
    everywhere. Raises DataError if a class has a single image.
    """
    values = np.asarray(labels)
    names, classes, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if (lonely := names[sizes == 1]).size:
        raise DataError(
            f"Class {lonely[0]} has a single image, which cannot be used for both training and testing",
            hint="Add images of this class.",
        )
    keys = _keys(len(values), seed)
    second = _draw(classes, np.maximum(1, np.rint(sizes * share).astype(np.int64)), keys)
    first = np.setdiff1d(np.arange(len(values), dtype=np.int64), second)
    return first[np.argsort(keys[first])], second[np.argsort(keys[second])]


def random_order(count: int, seed: int) -> Labels:
    """Return 0 to `count` - 1 in random order, int64: the same everywhere for the same seed."""
    return np.argsort(_keys(count, seed)).astype(np.int64)


def _keys(count: int, seed: int) -> npt.NDArray[np.uint64]:
    return np.asarray(np.random.PCG64(seed).random_raw(count), dtype=np.uint64)


def _draw(classes: Labels, quotas: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]) -> Labels:
    """Return, for each class, the indices of as many of its members as its quota says: those with the lowest keys."""
    drawn = []
    for index, quota in enumerate(quotas):
        members = np.flatnonzero(classes == index)
        drawn.append(members[np.argsort(keys[members])[:quota]])
    return np.concatenate(drawn).astype(np.int64)


def _even_quotas(sizes: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Share `count` out over classes of these sizes: equal quotas, except where a class is too small for its own."""
    quotas = np.zeros_like(sizes)
    while (remaining := count - int(quotas.sum())) > 0:
        unfilled = np.flatnonzero(quotas < sizes)
        share = remaining // len(unfilled)
        if share == 0:
            quotas[unfilled[:remaining]] += 1
        else:
            quotas[unfilled] = np.minimum(quotas[unfilled] + share, sizes[unfilled])
    return quotas
