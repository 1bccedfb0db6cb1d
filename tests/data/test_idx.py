"""IDX files: what is written is read, and whatever else is read is refused in a sentence."""

import gzip
import itertools
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgemnist.errors import DataError
from edgemnist.pipeline.data.idx import decode_idx, decode_images, decode_labels
from tests.data.conftest import encode_idx

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


@pytest.mark.parametrize("data", [VALID, PACKED], ids=["plain", "gzip"])
def test_a_file_cut_anywhere_is_refused(data: bytes) -> None:
    for length in range(0, len(data), 7):
        with pytest.raises(DataError, match="images-file"):
            decode_images(data[:length], "images-file")


def header(*dimensions: int, magic: bytes = b"\0\0\x08\x03") -> bytes:
    return magic + struct.pack(f">{len(dimensions)}I", *dimensions)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\0\0", "is not an IDX file"),
        (b"<!DOCTYPE html>", "is not an IDX file, and not gzipped either: it starts with 3c 21 44 4f"),
        (header(3, 28, 28, magic=b"\0\0\x07\x03"), "is not an IDX file"),
        (header(3, 28, 28, magic=b"\0\0\x0d\x03"), "holds float32 values where bytes are needed"),
        (header(3, magic=b"\0\0\x08\x01") + b"\1\2\3", "holds labels where images should be"),
        (header(3, 28, magic=b"\0\0\x08\x02"), "holds values in 2 dimensions where images should be"),
        (header(3, 28), "is truncated within its header"),
        (header(0, 28, 28), "holds no images"),
        (header(0, 2**32 - 1, 2**32 - 1), "holds no images"),
        (header(3, 28, 28) + bytes(3 * 28 * 28 - 1), "is truncated"),
        (header(3, 28, 28) + bytes(3 * 28 * 28 + 1), "is longer than its header says"),
        (
            header(1, 1 << 20, 2) + bytes(1 << 21),
            "holds images of 2×1048576 pixels, and 1,048,576",
        ),
        (gzip.compress(b"<!DOCTYPE html>"), "is not an IDX file"),
        (gzip.compress(header(3, 28, 28) + bytes(100)), r"is truncated: 100 of 2,352 bytes"),
        (PACKED[:-9], "is truncated: its gzip data ends early"),
        (PACKED[:-8] + b"\0" * 8, "is damaged gzip data"),
        (b"\x1f\x8b" + b"\xff" * 40, "is damaged gzip data"),
        (PACKED + b"rest", "is damaged"),
    ],
    # The bytes of a gzip file hold the time, and would give the tests other names in every worker.
    ids=itertools.count(),
)
def test_what_is_wrong_with_a_file_is_said_with_its_name_and_a_way_out(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode_images(data, "images.gz")
    assert caught.value.message.startswith("images.gz ")
    assert caught.value.hint


def test_images_in_the_place_of_labels_are_refused() -> None:
    with pytest.raises(DataError, match="holds images where labels should be"):
        decode_labels(VALID, "train-labels")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("count", [2**32 - 1, 10**6])
def test_a_header_that_promises_too_much_allocates_nothing(pack: Callable[[bytes], bytes], count: int) -> None:
    data = pack(header(count, 28, 28) + bytes(1000))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="truncated or damaged: its header promises"):
            decode_images(data, "images")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
