"""Drawing evenly over the classes, and the same ones every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.data.dataset import random_order, stratified_indices, stratified_split
from edgemnist.errors import DataError, UsageError

label_lists = st.lists(st.integers(0, 12), min_size=1, max_size=120)


@given(label_lists, st.data(), st.integers(0, 2**32))
def test_a_draw_is_as_even_as_the_classes_allow(labels: list[int], data: st.DataObject, seed: int) -> None:
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


@given(label_lists, st.data(), st.integers(0, 2**32))
def test_a_smaller_draw_is_part_of_a_larger_one(labels: list[int], data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(1, len(labels)))
    smaller, all_but_one = (set(stratified_indices(labels, n, seed).tolist()) for n in (count, len(labels)))
    assert smaller <= all_but_one
    if count > 1:
        assert set(stratified_indices(labels, count - 1, seed).tolist()) <= smaller


def test_the_same_seed_draws_the_same_images_on_every_machine() -> None:
    labels = np.arange(1000) % 10
    assert stratified_indices(labels, 12, seed=1).tolist() == [61, 75, 176, 239, 291, 323, 458, 622, 774, 800, 857, 900]
    assert random_order(8, seed=1).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]


def test_another_seed_draws_other_images() -> None:
    labels = np.arange(1000) % 10
    assert stratified_indices(labels, 100, seed=1).tolist() != stratified_indices(labels, 100, seed=2).tolist()


def test_more_images_than_there_are_is_a_data_error() -> None:
    with pytest.raises(DataError, match="11 images were asked for, but there are only 10"):
        stratified_indices(np.arange(10), 11, seed=0)


@pytest.mark.parametrize("count", [0, -1])
def test_no_images_is_a_usage_error(count: int) -> None:
    with pytest.raises(UsageError, match=rf"The number of images must be at least 1 \(got {count}\)"):
        stratified_indices(np.arange(10), count, seed=0)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=8), st.floats(0.01, 0.9), st.integers(0, 99))
def test_a_split_takes_its_share_of_each_class_and_loses_nothing(sizes: list[int], share: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    first, second = stratified_split(labels, share, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    counts = np.bincount(labels[second], minlength=len(sizes))
    assert (counts >= 1).all()
    assert (np.abs(counts - np.array(sizes) * share) <= 1).all()


def test_the_first_few_of_a_split_are_of_many_classes() -> None:
    first, second = stratified_split(np.repeat(np.arange(10), 100), 0.2, seed=0)
    assert len(set((first[:50] // 100).tolist())) >= 8
    assert len(set((second[:50] // 100).tolist())) >= 8


def test_a_class_of_one_cannot_be_split_and_is_named() -> None:
    with pytest.raises(DataError, match="Class seven has a single image"):
        stratified_split(np.array(["one", "one", "seven"]), 0.2, seed=0)
