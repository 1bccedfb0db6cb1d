"""Four IDX files become one data set, or a sentence says why not."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from edgemnist.data.idx import encode_idx, find_idx_files, read_idx_directory
from edgemnist.errors import DataError
from tests.conftest import MNIST
from tests.data.conftest import WriteSet, small_set


@pytest.mark.parametrize("name", ["{}", "{}.gz", "kmnist-{}", "emnist-balanced-{}.gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_the_usual_names_are_found(write_set: WriteSet, name: str, separator: str) -> None:
    directory = write_set(name=name)
    for path in list(directory.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", f"{separator}idx")))
    dataset = read_idx_directory(directory)
    assert dataset is not None
    assert (len(dataset.train), len(dataset.test)) == (40, 20)


def test_files_named_test_stand_for_t10k(write_set: WriteSet) -> None:
    directory = write_set()
    for path in directory.glob("t10k-*"):
        path.rename(path.with_name(path.name.replace("t10k", "test")))
    assert set(find_idx_files(directory)) == {"train-images", "train-labels", "test-images", "test-labels"}


def test_other_files_are_not_taken_for_a_set(write_set: WriteSet) -> None:
    directory = write_set()
    for name in ("README.txt", "._train-images-idx3-ubyte", "train-images-idx3-ubyte.gz.part", "train-images.npy"):
        (directory / name).write_bytes(b"")
    assert len(find_idx_files(directory)) == 4


def test_a_directory_without_idx_files_is_no_set_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert read_idx_directory(tmp_path) is None


def test_the_container_does_not_change_the_identity(write_set: WriteSet) -> None:
    plain = read_idx_directory(write_set(folder="plain"))
    packed = read_idx_directory(write_set(folder="packed", name="some-{}.gz"))
    assert plain is not None
    assert packed is not None
    assert plain.identity.sha256 == packed.identity.sha256


@pytest.mark.parametrize("role", ["train-images", "train-labels", "test-images", "test-labels"])
def test_one_changed_byte_in_any_file_changes_the_identity(write_set: WriteSet, role: str) -> None:
    original = read_idx_directory(write_set(folder="original"))
    changed = small_set()[role]
    changed.flat[3] = (changed.flat[3] + 1) % 10
    other = read_idx_directory(write_set({role: changed}, folder="other"))
    assert original is not None
    assert other is not None
    assert original.identity.sha256 != other.identity.sha256


@pytest.mark.parametrize(
    ("values", "names"), [([1, 2, 3], ("1", "2", "3")), ([0, 5, 250], ("0", "5", "250")), ([7, 9], ("7", "9"))]
)
def test_classes_come_from_the_labels_whatever_their_values(
    write_set: WriteSet, values: list[int], names: tuple[str, ...]
) -> None:
    labels = {role: np.resize(np.array(values, dtype=np.uint8), n) for role, n in (("train", 40), ("test", 20))}
    dataset = read_idx_directory(write_set({f"{split}-labels": given for split, given in labels.items()}))
    assert dataset is not None
    assert dataset.labels == names
    for split, given in ((dataset.train, labels["train"]), (dataset.test, labels["test"])):
        assert split.labels.dtype == np.int64
        np.testing.assert_array_equal(np.array(names, dtype=int)[split.labels], given)


def test_emnist_pictures_are_turned_upright(write_set: WriteSet) -> None:
    plain = read_idx_directory(write_set(folder="plain"))
    emnist = read_idx_directory(write_set(folder="emnist", name="emnist-letters-{}.gz"))
    assert plain is not None
    assert emnist is not None
    np.testing.assert_array_equal(emnist.test.images, plain.test.images.transpose(0, 2, 1))


def test_the_source_does_not_tell_where_on_this_machine_the_files_lie(write_set: WriteSet, tmp_path: Path) -> None:
    dataset = read_idx_directory(write_set(folder="letters"))
    assert dataset is not None
    assert dataset.identity.source == "IDX files in letters/"
    assert str(tmp_path) not in dataset.identity.source


def test_a_missing_file_is_named(write_set: WriteSet) -> None:
    directory = write_set()
    (directory / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="none with the test-labels"):
        read_idx_directory(directory)


def test_two_candidates_for_one_role_are_named(write_set: WriteSet) -> None:
    directory = write_set()
    (directory / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte and train-labels-idx1-ubyte\.gz"):
        read_idx_directory(directory)


def test_files_of_two_sets_are_not_mixed(write_set: WriteSet) -> None:
    directory = write_set(name="emnist-letters-{}")
    for path in directory.glob("*t10k*"):
        path.rename(path.with_name(path.name.replace("letters", "digits")))
    with pytest.raises(DataError, match="more than one set: emnist-digits, emnist-letters"):
        read_idx_directory(directory)


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_and_labels_of_different_counts_are_both_named(write_set: WriteSet, split: str) -> None:
    labels = small_set()[f"{split}-labels"]
    with pytest.raises(DataError, match=rf"-images-.* images, and .*-labels-.* {len(labels) - 1} labels"):
        read_idx_directory(write_set({f"{split}-labels": labels[:-1]}))


def test_swapped_files_are_recognized(write_set: WriteSet) -> None:
    directory = write_set(name="{}.gz")
    images, labels = directory / "train-images-idx3-ubyte.gz", directory / "train-labels-idx1-ubyte.gz"
    swapped = images.read_bytes(), labels.read_bytes()
    labels.write_bytes(swapped[0])
    images.write_bytes(swapped[1])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz holds labels where images should be"):
        read_idx_directory(directory)


def test_test_labels_that_training_never_saw_are_named(write_set: WriteSet) -> None:
    labels = small_set()["test-labels"]
    labels[:2] = 17, 11
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte has classes that the training labels lack: 11, 17$"):
        read_idx_directory(write_set({"test-labels": labels}))


def test_a_single_class_is_nothing_to_learn(write_set: WriteSet) -> None:
    ones = np.ones(40, dtype=np.uint8)
    with pytest.raises(DataError, match="has a single class, 1"):
        read_idx_directory(write_set({"train-labels": ones}))


def test_a_file_that_is_a_directory_is_named(write_set: WriteSet) -> None:
    directory = write_set()
    path = directory / "train-images-idx3-ubyte"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="train-images-idx3-ubyte cannot be read"):
        read_idx_directory(directory)


@pytest.mark.needs("EDGEMNIST_DATA")
def test_the_whole_of_mnist_is_read_and_recognized_whatever_holds_it(tmp_path: Path) -> None:
    dataset = read_idx_directory(MNIST)
    assert dataset is not None
    assert dataset.identity.source == "MNIST, IDX files in mnist/"
    assert (dataset.identity.train, dataset.identity.test, dataset.identity.reduced) == (60_000, 10_000, False)
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    for path in MNIST.glob("*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    unpacked = read_idx_directory(tmp_path)
    assert unpacked is not None
    assert unpacked.identity.sha256 == dataset.identity.sha256
    assert encode_idx(unpacked.test.images) == (tmp_path / "t10k-images-idx3-ubyte").read_bytes()


def test_the_mapping_file_of_emnist_names_the_classes(write_set: WriteSet) -> None:
    directory = write_set(name="emnist-balanced-{}")
    for path in directory.iterdir():
        path.rename(path.with_name(path.name.replace("t10k", "test")))
    (directory / "emnist-balanced-mapping.txt").write_text("".join(f"{n} {65 + n} {97 + n}\n" for n in range(10)))
    dataset = read_idx_directory(directory)
    assert dataset is not None
    assert dataset.labels == tuple("ABCDEFGHIJ")


@pytest.mark.parametrize("line", ["1", "1 x", "1 99999999999", "1 7", "2 65"])
def test_a_damaged_mapping_file_is_an_error(write_set: WriteSet, line: str) -> None:
    directory = write_set(name="emnist-letters-{}")
    (directory / "emnist-letters-mapping.txt").write_text(f"0 65\n{line}\n")
    with pytest.raises(DataError, match=r"mapping\.txt is damaged"):
        read_idx_directory(directory)
