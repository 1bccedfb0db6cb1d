"""Drawing images evenly over the classes: for calibration, and for splits of sets that come in one piece.

The order comes from the raw stream of PCG64, which NumPy keeps the same in every version (NEP 19); the streams of
`Generator.choice` and `Generator.permutation` may change.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Labels
from edgemnist.errors import DataError, UsageError


def stratified_indices(labels: npt.ArrayLike, count: int, seed: int) -> Labels:
    """Return `count` indices into `labels` [N], as evenly over the classes as they allow: int64 [count], sorted.

    The same labels, count and seed (0 or more) give the same indices everywhere, and a smaller count gives a subset
    of what a larger one gives.

    Raises UsageError if `count` is below 1, and DataError where it is more than there are.
    """
    values = np.asarray(labels)
    if count < 1:
        raise UsageError(f"The number of images must be at least 1 (got {count})")
    if count > len(values):
        raise DataError(
            f"{count:,} images were asked for, and there are {len(values):,}", hint=f"Ask for at most {len(values)}."
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
            f"Class {lonely[0]} has a single image, which cannot both train and test", hint="Add images of this class."
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
