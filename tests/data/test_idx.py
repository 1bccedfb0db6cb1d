"""IDX files: what is written is read, and whatever else is read is refused in a sentence."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgemnist.errors import DataError
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.idx import decode_idx, decode_images, decode_labels, find_idx_files, read_idx_directory
from tests.conftest import MNIST, allocates_less_than
from tests.data.conftest import WriteSet, encode_idx, small_set
from tests.messages import Told

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint64).astype(np.uint8).reshape(3, 28, 28)
VALID = encode_idx(IMAGES)
PACKED = gzip.compress(VALID, mtime=0)


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=40)), st.booleans())
def test_what_is_written_is_read_gzipped_or_not(values: npt.NDArray[np.uint8], packed: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    data = gzip.compress(encode_idx(values)) if packed else encode_idx(values)
    read = decode_idx(data, "file", values.ndim)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, values)


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_flipped_byte_in_a_gzip_file_never_changes_the_images(position: int, flip: int) -> None:
    damaged = bytearray(PACKED)
    damaged[position] ^= flip
    try:
        read = decode_images(bytes(damaged), "file")
    except DataError:
        return
    # Flags and times in the gzip header carry nothing that is read.
    assert position < 10
    np.testing.assert_array_equal(read, IMAGES)


def header(*dimensions: int, magic: bytes = b"\0\0\x08\x03") -> bytes:
    return magic + struct.pack(f">{len(dimensions)}I", *dimensions)


def test_what_is_wrong_with_a_file_is_said_with_its_name_and_a_way_out(told: Told) -> None:
    for data in (
        *(b"", b"\0\0", b"<!DOCTYPE html>", gzip.compress(b"<!DOCTYPE html>")),
        *(header(3, 28, 28, magic=b"\0\0" + kind) for kind in (b"\x07\x03", b"\x0d\x03")),
        header(3, magic=b"\0\0\x08\x01") + b"\1\2\3",
        header(3, 28, magic=b"\0\0\x08\x02"),
        *(header(*sizes) for sizes in ((3, 28), (0, 28, 28), (0, 2**32 - 1, 2**32 - 1))),
        *(header(3, 28, 28) + bytes(3 * 28 * 28 + more) for more in (-1, 1)),
        header(1, 1 << 20, 2) + bytes(1 << 21),
        gzip.compress(header(3, 28, 28) + bytes(100)),
        *(PACKED[:-9], PACKED[:-8] + b"\0" * 8, PACKED + b"rest"),
        b"\x1f\x8b" + b"\xff" * 40,
    ):
        with told():
            decode_images(data, "images.gz")


def test_images_in_the_place_of_labels_are_refused() -> None:
    with pytest.raises(DataError, match="holds images where labels should be"):
        decode_labels(VALID, "train-labels")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("count", [2**32 - 1, 10**6])
def test_a_header_that_promises_too_much_allocates_nothing(pack: Callable[[bytes], bytes], count: int) -> None:
    data = pack(header(count, 28, 28) + bytes(1000))
    with allocates_less_than(1_000_000), pytest.raises(DataError, match="truncated or damaged: its header promises"):
        decode_images(data, "images")


def read(directory: Path) -> Dataset:
    dataset = read_idx_directory(directory)
    assert dataset is not None
    return dataset


def renamed(directory: Path, pattern: str, old: str, new: str) -> None:
    for path in list(directory.glob(pattern)):
        path.rename(path.with_name(path.name.replace(old, new)))


@pytest.mark.parametrize("name", ["{}", "{}.gz", "kmnist-{}", "emnist-balanced-{}.gz"])
@pytest.mark.parametrize(("old", "new"), [("", ""), ("-idx", ".idx"), ("t10k", "test")])
def test_the_usual_names_are_found_whatever_else_is_there(write_set: WriteSet, name: str, old: str, new: str) -> None:
    directory = write_set(name=name)
    renamed(directory, "*", old, new)
    for other in ("README.txt", "._train-images-idx3-ubyte", "train-images-idx3-ubyte.gz.part", "train-images.npy"):
        (directory / other).write_bytes(b"")
    assert find_idx_files(directory).keys() == {"train-images", "train-labels", "test-images", "test-labels"}
    dataset = read(directory)
    assert (len(dataset.train), len(dataset.test)) == (40, 20)


def test_a_directory_without_idx_files_is_no_set_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert read_idx_directory(tmp_path) is None


def test_the_identity_is_that_of_the_images_and_not_of_files_and_places(write_set: WriteSet) -> None:
    plain, packed = read(write_set(folder="plain")), read(write_set(folder="packed", name="some-{}.gz"))
    assert plain.identity.source == "IDX files in plain/"
    assert plain.identity.sha256 == packed.identity.sha256
    for role, values in small_set().items():
        values.flat[3] = (values.flat[3] + 1) % 10
        assert read(write_set({role: values}, folder=role)).identity.sha256 != plain.identity.sha256


@pytest.mark.parametrize(
    ("values", "names"), [([1, 2, 3], ("1", "2", "3")), ([0, 5, 250], ("0", "5", "250")), ([7, 9], ("7", "9"))]
)
def test_classes_come_from_any_labels(write_set: WriteSet, values: list[int], names: tuple[str, ...]) -> None:
    labels = {role: np.resize(np.array(values, dtype=np.uint8), n) for role, n in (("train", 40), ("test", 20))}
    dataset = read(write_set({f"{split}-labels": held for split, held in labels.items()}))
    assert dataset.labels == names
    for split, held in ((dataset.train, labels["train"]), (dataset.test, labels["test"])):
        assert split.labels.dtype == np.int64
        np.testing.assert_array_equal(np.array(names, dtype=int)[split.labels], held)


def test_emnist_pictures_are_turned_upright(write_set: WriteSet) -> None:
    plain, directory = read(write_set(folder="plain")), write_set(folder="emnist", name="emnist-letters-{}.gz")
    np.testing.assert_array_equal(read(directory).test.images, plain.test.images.transpose(0, 2, 1))


def swapped(directory: Path) -> None:
    images, labels = directory / "train-images-idx3-ubyte", directory / "train-labels-idx1-ubyte"
    contents = images.read_bytes(), labels.read_bytes()
    labels.write_bytes(contents[0])
    images.write_bytes(contents[1])


def a_directory(directory: Path) -> None:
    (directory / "train-images-idx3-ubyte").unlink()
    (directory / "train-images-idx3-ubyte").mkdir()


def test_four_files_that_are_no_set_are_refused_by_name(write_set: WriteSet, tmp_path: Path, told: Told) -> None:
    spoils: list[Callable[[Path], object]] = [
        lambda place: (place / "t10k-labels-idx1-ubyte").unlink(),
        lambda place: (place / "train-labels-idx1-ubyte.gz").touch(),
        lambda place: renamed(place, "t10k*", "t10k", "digits-t10k"),
        swapped,
        a_directory,
    ]
    for number, spoil in enumerate(spoils):
        spoil(write_set(folder=str(number)))
        with told():
            read_idx_directory(tmp_path / str(number))


def test_labels_that_do_not_fit_are_refused_by_name(write_set: WriteSet, tmp_path: Path, told: Told) -> None:
    several = [
        ("train", np.arange(39) % 10),
        ("test", np.arange(19) % 10),
        ("test", np.arange(20)),
        ("train", [1] * 40),
    ]
    for number, (role, labels) in enumerate(several):
        write_set({f"{role}-labels": np.array(labels, np.uint8)}, folder=str(number))
        with told():
            read_idx_directory(tmp_path / str(number))


@pytest.mark.needs("EDGEMNIST_DATA")
def test_the_whole_of_mnist_is_read_and_recognized_whatever_holds_it(tmp_path: Path) -> None:
    dataset = read(MNIST)
    assert dataset.identity.source == "MNIST, IDX files in mnist/"
    assert (dataset.identity.train, dataset.identity.test, dataset.identity.reduced) == (60_000, 10_000, False)
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    for path in MNIST.glob("*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    unpacked = read(tmp_path)
    assert unpacked.identity.sha256 == dataset.identity.sha256
    assert encode_idx(unpacked.test.images) == (tmp_path / "t10k-images-idx3-ubyte").read_bytes()
