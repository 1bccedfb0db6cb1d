"""What is in a data set, in numbers; drawing evenly over the classes, and the same images every time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.errors import DataError, UsageError
from edgemnist.ground.results import read_result
from edgemnist.ground.results.data import DataResult
from edgemnist.pipeline.data.dataset import (
    Dataset,
    Split,
    describe,
    identified,
    random_order,
    stratified_indices,
    stratified_split,
    without_copies,
)
from edgemnist.pipeline.data.idx import read_idx_directory
from tests.conftest import MNIST
from tests.notices import Listener

label_lists = st.lists(st.integers(0, 12), min_size=1, max_size=120)


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
    assert read_result(DataResult, result.to_json().encode()) == result


def test_every_digit_of_the_embedded_set_has_400_images_to_train_and_100_to_evaluate(embedded: Dataset) -> None:
    assert embedded.labels == tuple("0123456789")
    assert np.bincount(embedded.train.labels).tolist() == [400] * 10
    assert np.bincount(embedded.test.labels).tolist() == [100] * 10
    assert embedded.train.images.shape == (4000, 28, 28)
    assert embedded.train.images.dtype == np.uint8
    assert embedded.identity.reduced
    # The same split on every machine, and no image in both.
    assert embedded.identity.sha256 == "e922540ad684c67445591d786fe2b83d7843a4089bf4b00f07417cc323d0aabf"
    train, test = ({image.tobytes() for image in split.images} for split in (embedded.train, embedded.test))
    assert not train & test


@pytest.mark.needs("EDGEMNIST_DATA")
def test_none_of_its_images_is_among_the_test_images_of_mnist(embedded: Dataset) -> None:
    full = read_idx_directory(MNIST)
    assert full is not None
    train, test = ({image.tobytes() for image in split.images} for split in (full.train, full.test))
    ours = {image.tobytes() for split in (embedded.train, embedded.test) for image in split.images}
    assert ours <= train
    assert not ours & test


@given(label_lists, st.data(), st.integers(0, 2**32))
def test_a_draw_is_as_even_as_the_classes_allow_and_part_of_a_larger_one(
    labels: list[int], data: st.DataObject, seed: int
) -> None:
    values = np.array(labels)
    count = data.draw(st.integers(1, len(values)))
    indices = stratified_indices(values, count, seed)
    assert indices.dtype == np.int64
    assert len(indices) == count
    assert (np.diff(indices) > 0).all()
    sizes = np.bincount(values, minlength=13)
    drawn = np.bincount(values[indices], minlength=13)
    # A class that could have given more has no less than any other, but for the rest of the division.
    assert all(drawn[c] >= drawn.max() - 1 for c in range(13) if drawn[c] < sizes[c])
    if count > 1:
        assert set(stratified_indices(values, count - 1, seed).tolist()) <= set(indices.tolist())


def test_the_same_seed_draws_the_same_images_on_every_machine() -> None:
    labels = np.arange(1000) % 10
    assert stratified_indices(labels, 12, seed=1).tolist() == [61, 75, 176, 239, 291, 323, 458, 622, 774, 800, 857, 900]
    assert random_order(8, seed=1).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]


@pytest.mark.parametrize(("count", "error"), [(11, DataError), (0, UsageError), (-1, UsageError)])
def test_more_images_than_there_are_or_none_are_refused(count: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(count)):
        stratified_indices(np.arange(10), count, seed=0)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=8), st.floats(0.01, 0.9), st.integers(0, 99))
def test_a_split_takes_its_share_of_each_class_and_loses_nothing(sizes: list[int], share: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    first, second = stratified_split(labels, share, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    counts = np.bincount(labels[second], minlength=len(sizes))
    assert (counts >= 1).all()
    assert (np.abs(counts - np.array(sizes) * share) <= 1).all()


def test_a_class_of_one_cannot_be_split_and_is_named() -> None:
    with pytest.raises(DataError, match="Class seven has a single image"):
        stratified_split(np.array(["one", "one", "seven"]), 0.2, seed=0)


def test_copies_of_what_is_trained_on_are_not_evaluated_unless_they_are_numbers_or_all_of_a_class() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 20, 20, 3), dtype=np.uint8)
    pictures[[9, 11]] = pictures[[0, 1]]
    pictures[9, 3, 3, 0] ^= 1
    train, test = Split(pictures[:8], np.arange(8) % 2), Split(pictures[8:], np.array([0, 1, 1, 0]))
    listener = Listener()
    more, fewer = without_copies(train, test, Path("here"), listener)
    assert "2 pictures to evaluate in here are copies of others that serve to train, and do so, too." in listener.heard
    np.testing.assert_array_equal(more.images, np.concatenate([pictures[[9, 11]], pictures[:8]]))
    assert (more.labels[:2].tolist(), fewer.labels.tolist()) == ([1, 0], [0, 1])
    np.testing.assert_array_equal(fewer.images, pictures[[8, 10]])
    assert without_copies(more, fewer, Path("here"), Listener())[1] is fewer
    alone = test.take(np.array([0, 1]))
    assert without_copies(train, alone, Path("here"), Listener()) == (train, alone)
    numbers = Split(train.images.astype(np.float32), train.labels), Split(test.images.astype(np.float32), test.labels)
    assert without_copies(*numbers, Path("here"), Listener()) == numbers
