"""Folders of pictures become a data set, or a sentence says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgemnist.data.dataset import Dataset
from edgemnist.data.sources import read_image_directory
from edgemnist.errors import DataError, ImageError
from edgemnist.progress import SILENT
from tests.data.conftest import Listener


def write_pictures(root: Path, counts: dict[str, int], *, suffix: str = ".png") -> None:
    """Write pictures whose first pixel inside the border tells their class and number."""
    for index, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(picture(index, number)).save(root / name / f"{number}{suffix}")


def picture(index: int, number: int) -> npt.NDArray[np.uint8]:
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[10:18, 10:18] = 255
    pixels[5, 5:7] = 100 + index, number
    return pixels


def read(directory: Path) -> Dataset:
    dataset = read_image_directory(directory, SILENT)
    assert dataset is not None
    return dataset


def test_pictures_keep_their_pixels_and_their_class(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"cat": 10, "dog": 20, "emu": 5})
    dataset = read(tmp_path)
    assert dataset.labels == ("cat", "dog", "emu")
    for split in (dataset.train, dataset.test):
        for image, label in zip(split.images, split.labels, strict=True):
            np.testing.assert_array_equal(image, picture(int(label), int(image[5, 6])))


def test_a_fifth_of_each_class_is_kept_for_evaluation_and_nothing_is_in_both(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 10, "b": 20, "c": 2})
    dataset = read(tmp_path)
    assert np.bincount(dataset.test.labels).tolist() == [2, 4, 1]
    assert np.bincount(dataset.train.labels).tolist() == [8, 16, 1]
    together = np.concatenate([dataset.train.images, dataset.test.images]).reshape(32, -1)
    assert len(np.unique(together, axis=0)) == 32


def test_the_split_is_the_same_every_time(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 10, "b": 20})
    assert read(tmp_path).identity == read(tmp_path).identity


def test_train_and_test_folders_are_kept_apart(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", {"a": 6, "b": 5})
    write_pictures(tmp_path / "test", {"a": 2, "b": 1})
    dataset = read(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (11, 3)


def test_a_folder_beside_train_is_ignored_and_named(tmp_path: Path, listener: Listener) -> None:
    write_pictures(tmp_path / "train", {"a": 10, "b": 10})
    write_pictures(tmp_path / "valid", {"a": 10, "b": 10})
    dataset = read_image_directory(tmp_path, listener)
    assert dataset is not None
    assert (len(dataset.train), len(dataset.test)) == (16, 4)
    assert "were ignored: valid" in listener.heard


def test_a_train_folder_alone_is_split(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", {"a": 10, "b": 10})
    dataset = read(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (16, 4)


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"10": 2, "9": 2, "1": 2})
    assert read(tmp_path).labels == ("1", "9", "10")


def test_jpeg_files_of_another_size_are_read_too(tmp_path: Path) -> None:
    for name, level in (("dim", 120), ("bright", 255)):
        (tmp_path / name).mkdir()
        pixels = np.zeros((100, 100), dtype=np.uint8)
        pixels[30:70, 30:70] = level
        for number, suffix in enumerate((".jpg", ".JPEG")):
            Image.fromarray(pixels).save(tmp_path / name / f"{number}{suffix}")
    dataset = read(tmp_path)
    assert dataset.labels == ("bright", "dim")
    # Brought to MNIST's conditions: full intensity, in the box of 20×20.
    assert dataset.train.images.max(axis=(1, 2)).min() >= 250
    assert (dataset.train.images > 127).any(axis=1).sum(axis=1).tolist() == [20] * len(dataset.train)


def test_dark_on_light_is_turned_round_and_said(tmp_path: Path, listener: Listener) -> None:
    write_pictures(tmp_path, {"a": 4, "b": 4})
    for path in (tmp_path / "b").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    dataset = read_image_directory(tmp_path, listener)
    assert dataset is not None
    assert all(image[0, 0] == 0 and image[14, 14] == 255 for image in dataset.train.images)
    assert "Inverted 4 pictures that had dark digits" in listener.heard


def test_what_is_no_picture_is_ignored_and_counted(tmp_path: Path, listener: Listener) -> None:
    write_pictures(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "b" / "more").mkdir()
    (tmp_path / "README.md").touch()
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "__MACOSX").mkdir()
    dataset = read_image_directory(tmp_path, listener)
    assert dataset is not None
    assert len(dataset.train) + len(dataset.test) == 6
    assert "3 entries" in listener.heard


def test_progress_reaches_its_total(tmp_path: Path, listener: Listener) -> None:
    write_pictures(tmp_path / "train", {"a": 3, "b": 4})
    write_pictures(tmp_path / "test", {"a": 1, "b": 1})
    read_image_directory(tmp_path, listener)
    assert listener.tasks[0][1] == 9
    assert [completed for completed, _ in listener.updates] == list(range(1, 10))


def test_a_directory_without_folders_is_no_set_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "picture.png").touch()
    assert read_image_directory(tmp_path, SILENT) is None


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({}, None, "train holds no class folders"),
        ({"a": 3}, None, "train holds a single class, a"),
        ({"a": 3, "b": 0}, None, r"b holds no PNG or JPEG files"),
        ({"a": 3, "b": 1}, None, "Class b has a single image"),
        ({"a": 3, "b": 3}, {"a": 1, "b": 0}, r"b holds no PNG or JPEG files"),
        ({"a": 3, "b": 3}, {"a": 1, "c": 1}, "test has classes that train/ lacks: c"),
        (None, {"a": 3, "b": 3}, r"has test/, but no train/"),
    ],
)
def test_folders_that_make_no_data_set_are_refused(
    tmp_path: Path, train: dict[str, int] | None, test: dict[str, int] | None, message: str
) -> None:
    for name, counts in (("train", train), ("test", test)):
        if counts is not None:
            (tmp_path / name).mkdir()
            write_pictures(tmp_path / name, counts)
    with pytest.raises(DataError, match=message) as caught:
        read_image_directory(tmp_path, SILENT)
    assert caught.value.hint


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "b" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(ImageError, match=r"b.1\.png is not a picture"):
        read_image_directory(tmp_path, SILENT)
