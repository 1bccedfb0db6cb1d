"""What is in a data set, in numbers."""

from __future__ import annotations

import numpy as np

from edgemnist.data.dataset import Dataset, Split, describe, identified
from edgemnist.results import read_result
from edgemnist.results.data import DataResult


def test_counts_ranges_and_checksums_are_those_of_the_arrays() -> None:
    train = Split(np.arange(4 * 784, dtype=np.uint32).reshape(4, 28, 28).astype(np.uint8), np.array([2, 0, 2, 1]))
    test = Split(np.full((1, 28, 28), 9, dtype=np.uint8), np.array([1]))
    result = describe(identified(train, test, ["a", "b", "c"], source="here"))
    assert result.train.per_class == {"a": 1, "b": 1, "c": 2}
    assert result.test.per_class == {"a": 0, "b": 1, "c": 0}
    assert (result.train.images, result.train.minimum, result.train.maximum) == (4, 0, 255)
    assert result.train.mean == train.images.mean()
    assert (result.test.minimum, result.test.maximum, result.test.mean) == (9, 9, 9.0)
    assert len({result.train.sha256, result.test.sha256, result.data.sha256}) == 3
    assert result.data.source == "here"


def test_the_description_survives_json(embedded: Dataset) -> None:
    result = describe(embedded)
    assert result.data.reduced
    assert read_result(DataResult, result.to_json().encode()) == result
