"""What a data set is, wherever it came from, and how images are drawn from it, evenly over the classes.

The order comes from the raw stream of PCG64, which NumPy keeps the same in every version (NEP 19); the streams of
`Generator.choice` and `Generator.permutation` may change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import DataError, UsageError
from edgemnist.ground.arrays import Labels
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.data import DataIdentity, DataResult, NumberSummary, SplitSummary
from edgemnist.model.task import TASKS, Task, default_task, task_named, unnamed_task

MNIST_IDENTITY = "23dd870693787a55a31be9018c77f59e2cf71c091d36e92e19b1f38736629bd0"
"""`DataIdentity.sha256` of the whole set, which identifies it wherever it lies."""
TEST_SHARE: Final = 0.2
"""Share of each class that is kept for evaluation where a data set has no test split."""
SPLIT_SEED: Final = 0
MOST_CLASSES: Final = 1_000
MOST_BYTES: Final = 1 << 30
"""Of the inputs of a data set."""

Inputs: TypeAlias = npt.NDArray[Any]
"""Pictures, uint8 [N, H, W] or [N, H, W, C], or numbers, float32 [N, …]."""


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their classes, which may be unknown."""

    images: Inputs
    """Pictures, uint8 [N, H, W] or [N, H, W, C], or numbers, float32 [N, …]."""
    truth: Labels | None
    """int64 [N], indices into `Dataset.labels`; None where nobody has said them."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Labels:
        """The classes, int64 [N]. Raises DataError where nobody has said them."""
        if self.truth is None:
            raise DataError(
                f"The {count(len(self), 'row')} of the data set have no labels",
                hint="Labels of x.npy are in y.npy beside it, those of an .npz in y_train and y_test.",
            )
        return self.truth

    def take(self, indices: Labels) -> "Split":
        """Return the inputs and classes of these indices, int64 [M], in their order."""
        return Split(self.images[indices], None if self.truth is None else self.truth[indices])

    def spread(self, number: int, seed: int) -> Labels:
        """Return `number` indices, as evenly over the classes as they allow, as `stratified_indices` does."""
        return stratified_indices(np.zeros(len(self)) if self.truth is None else self.truth, number, seed)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training split to learn from, and a test split that is only ever evaluated."""

    train: Split
    test: Split
    labels: tuple[str, ...]
    """Name of each class, `0` to `9` for MNIST; none where the splits have no labels."""
    identity: DataIdentity
    task: Task
    """What its inputs are, and how pictures become them; without a name for others of the default shape."""
    columns: tuple[str, ...] = ()
    """Names of the numbers of a row, where a table has them."""
    directory: str | None = None
    """Absolute path of what a user named; None for the cache, a download or the embedded images."""


def kept_to_evaluate(place: Path, kept: int, of: int, *, labelled: bool = True) -> str:
    """Return the sentence that tells of a split that was made here."""
    share = f"{percent(TEST_SHARE, 0)} of {'each class' if labelled else 'all'}"
    return (
        f"{place} has no test part: {share}, {kept:,} of {of:,}, are kept to evaluate, the same ones every time (seed "
        f"{SPLIT_SEED})."
    )


def split_sha256(split: Split) -> str:
    """Return the SHA-256 over shapes, inputs (as bytes) and labels (as little-endian int64), in hexadecimal."""
    import hashlib

    digest = hashlib.sha256()
    for values in (split.images, *(() if split.truth is None else (split.truth.astype("<i8", copy=False),))):
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def identified(
    train: Split, test: Split, labels: Sequence[str], *, source: str, task: Task | None = None, reduced: bool = False
) -> Dataset:
    """Return the data set of two splits, with its identity. MNIST is recognized, and named in the source.

    Without a task it is `likely_task`.
    """
    import hashlib

    sha256 = hashlib.sha256(f"{split_sha256(train)} {split_sha256(test)}".encode()).hexdigest()
    source = f"MNIST, {source}" if sha256 == MNIST_IDENTITY else source
    identity = DataIdentity(source=source, train=len(train), test=len(test), sha256=sha256, reduced=reduced)
    task = task or likely_task(train.images, labels)
    return Dataset(train=train, test=test, labels=tuple(labels), identity=identity, task=task)


def likely_task(inputs: Inputs, labels: Sequence[str]) -> Task:
    """Return what inputs [N, …] of these classes are taken for where nobody says it.

    Pictures of the size and colours of the default task are prepared as its are, whatever they show.
    """
    shape = inputs.shape[1:]
    if inputs.dtype != np.uint8:
        return task_named("numbers", numbers_of(shape))
    if shape == (usual := default_task()).input.shape:
        return usual if set(labels) <= set(TASKS[usual.name].labels or ()) else unnamed_task()
    return task_named("pictures", InputSpec(shape=shape))


def numbers_of(shape: tuple[int, ...]) -> InputSpec:
    """Return what says of numbers [N, *shape] that they are what they are."""
    return InputSpec(shape=shape, dtype="float32", scale=(1.0,))


def describe(dataset: Dataset) -> DataResult:
    """Return counts per class, ranges and checksums of both splits, and what each number of a row ranges over."""

    def summary(split: Split) -> SplitSummary:
        counts = [] if split.truth is None else np.bincount(split.truth, minlength=len(dataset.labels)).tolist()
        return SplitSummary(
            images=len(split),
            per_class=dict(zip(dataset.labels, counts, strict=True)),
            minimum=split.images.min().item(),
            maximum=split.images.max().item(),
            mean=float(split.images.mean(dtype=np.float64)),
            sha256=split_sha256(split),
        )

    images = dataset.train.images
    numbers = []
    if images.ndim == 2:  # noqa: PLR2004 - [N, M]
        names = dataset.columns or tuple(map(str, range(1, images.shape[1] + 1)))
        figures = (images.min(axis=0), images.mean(axis=0, dtype=np.float64), images.max(axis=0))
        numbers = [
            NumberSummary(name=name, minimum=least, mean=mean, maximum=greatest)
            for name, least, mean, greatest in zip(names, *(one.tolist() for one in figures), strict=True)
        ]
    return DataResult(
        data=dataset.identity,
        labels=list(dataset.labels),
        task=dataset.task.name,
        input=dataset.task.input,
        numbers=numbers,
        train=summary(dataset.train),
        test=summary(dataset.test),
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


def natural_key(name: str) -> tuple[bool, int, str]:
    """Return the key that sorts names of classes: numbers first, and 10 after 9."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
