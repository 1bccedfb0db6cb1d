"""What is in a data set, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgemnist.data.dataset import Dataset, Split, split_sha256
from edgemnist.results.data import DataResult, SplitSummary


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
