"""The golden pack comes back as it was written, or not at all."""

import contextlib
import io
import time
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.storage import sha256, write_file
from edgemnist.model.exports.golden import GoldenPack, decode_answers, decode_golden, read_golden
from edgemnist.model.exports.manifest import GOLDEN_FILE, GoldenRecord, Manifest


def pack(count: int = 20, classes: int = 10) -> GoldenPack:
    rng = np.random.default_rng(0)
    scores = rng.random((count, classes), dtype=np.float32)
    return GoldenPack(
        images=rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
        truth=rng.integers(0, classes, count),
        probabilities=scores / scores.sum(axis=1, keepdims=True),
        class_labels=tuple(f"class {index}" for index in range(classes)),
        data=DataIdentity(source="noise", train=1, test=count, sha256=sha256(b"data"), reduced=True),
        model_sha256=sha256(b"model"),
    )


def record_of(data: bytes) -> GoldenRecord:
    return GoldenRecord(
        file=GOLDEN_FILE, bytes=len(data), sha256=sha256(data), images=20, model_sha256=pack().model_sha256
    )


def recorded(directory: Path, golden: GoldenPack) -> Manifest:
    """Write a pack into a directory, and return the manifest that records it."""
    data = golden.encode()
    write_file(directory / GOLDEN_FILE, data)
    return Manifest(labels=[], golden=record_of(data))


@pytest.mark.parametrize(("count", "classes"), [(20, 10), (0, 10), (1, 300)])
def test_a_pack_is_read_as_it_was_written(count: int, classes: int) -> None:
    written = pack(count, classes)
    read = decode_golden(written.encode())
    for name in ("images", "labels", "probabilities"):
        before, after = getattr(written, name), getattr(read, name)
        assert after.dtype == before.dtype
        np.testing.assert_array_equal(after, before)
    for name in ("class_labels", "data", "model_sha256"):
        assert getattr(read, name) == getattr(written, name)


def test_images_that_are_cut_short_are_an_error_and_not_fewer_images() -> None:
    stream = io.BytesIO()
    with np.load(io.BytesIO(pack().encode())) as arrays, zipfile.ZipFile(stream, "w") as file:
        for name in arrays.files:
            data = arrays.zip.read(f"{name}.npy")
            file.writestr(f"{name}.npy", data[:-1] if name == "images" else data)
    with pytest.raises(ArtifactError, match="damaged"):
        decode_golden(stream.getvalue())


@pytest.mark.all
def test_the_same_pack_gives_the_same_bytes_at_another_time() -> None:
    first = pack().encode()
    time.sleep(2.1)  # The times within a zip file have a step of two seconds.
    assert pack().encode() == first


def test_a_damaged_pack_is_a_clear_error_whichever_byte_is_wrong() -> None:
    whole = pack().encode()
    read = 0
    for position in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        # The zip format has bytes that mean nothing, such as times.
        with contextlib.suppress(ArtifactError):
            decode_golden(bytes(damaged))
            read += 1
    assert read < len(whole) / 37 / 10
    for end in range(0, len(whole), 97):
        with pytest.raises(ArtifactError, match="damaged"):
            decode_golden(whole[:end])


def changed(**arrays: Any) -> bytes:
    """Return a pack in which some arrays are others, or missing (None)."""
    with np.load(io.BytesIO(pack().encode())) as whole:
        contents = {**whole, **arrays}
    stream = io.BytesIO()
    np.savez(stream, **{name: value for name, value in contents.items() if value is not None})
    return stream.getvalue()


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.zeros(19, dtype=np.int64)},
        {"labels": np.full(20, 10)},
        {"labels": np.full(20, -1)},
        {"labels": np.int64(3)},
        {"images": np.zeros((20, 28, 28), dtype=np.float32)},
        {"images": np.zeros((20, 784), dtype=np.uint8)},
        {"probabilities": np.zeros((20, 10))},
        {"probabilities": np.zeros((20, 9), dtype=np.float32)},
        {"class_labels": np.array(["0"])},
        {"data": np.frombuffer(b"{}", dtype=np.uint8)},
        {"labels": np.array([{"pickled": True}])},
    ],
    ids=str,
)
def test_a_pack_that_does_not_fit_together_is_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        decode_golden(changed(**arrays))


@pytest.mark.parametrize("name", ["labels", "answers"])
def test_a_small_archive_with_gigabytes_in_it_is_refused_unread(name: str) -> None:
    stream = io.BytesIO(changed(labels=None) if name == "labels" else b"")
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<i8", "fortran_order": False, "shape": (1 << 25,)})
        for _ in range(256):
            member.write(bytes(1 << 20))
    data = stream.getvalue()
    assert len(data) < 1 << 20
    tracemalloc.start()
    try:
        read = partial(decode_golden, data) if name == "labels" else partial(decode_answers, io.BytesIO(data))
        with pytest.raises(ArtifactError, match="damaged: its arrays take more than 256 MB"):
            read()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_pack_is_read_only_if_it_is_the_recorded_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no golden pack"):
        read_golden(tmp_path, Manifest(labels=[]))
    manifest = recorded(tmp_path, pack())
    assert read_golden(tmp_path, manifest).model_sha256 == pack().model_sha256
    write_file(tmp_path / GOLDEN_FILE, pack(19).encode())
    with pytest.raises(ArtifactError, match="manifest"):
        read_golden(tmp_path, manifest)
