"""Small data sets in files, and mirrors on loopback."""

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.sources import embedded_dataset
from tests.data.mirror import Mirror
from tests.notices import Listener

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "test-images": "t10k-images-idx3-ubyte",
    "test-labels": "t10k-labels-idx1-ubyte",
}


WriteSet = Callable[..., Path]


@pytest.fixture
def listener() -> Listener:
    return Listener()


def encode_idx(values: npt.NDArray[np.uint8]) -> bytes:
    """Return an array as the contents of an IDX file, not gzipped."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 0x08, values.ndim, *values.shape)
    return header + values.tobytes()


def small_set(train: int = 40, test: int = 20, *, classes: int = 10, first: int = 0) -> dict[str, np.ndarray]:
    """Return the four arrays of a small set by role: every class is in both splits."""
    random = np.random.default_rng(7)
    arrays: dict[str, np.ndarray] = {}
    for split, count in (("train", train), ("test", test)):
        arrays[f"{split}-images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}-labels"] = (np.arange(count) % classes + first).astype(np.uint8)
    return arrays


@pytest.fixture
def write_set(tmp_path: Path) -> WriteSet:
    """Write a small set as four IDX files: `write_set({"test-labels": ...}, name="{}.gz")`."""

    def write(changes: dict[str, np.ndarray] | None = None, *, name: str = "{}", folder: str = "set") -> Path:
        directory = tmp_path / folder
        directory.mkdir(exist_ok=True)
        for role, values in {**small_set(), **(changes or {})}.items():
            path = directory / name.format(NAMES[role])
            data = encode_idx(values)
            path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
        return directory

    return write


@pytest.fixture(scope="session")
def embedded() -> Dataset:
    """The embedded set: 4,000 and 1,000 images of MNIST."""
    return embedded_dataset()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach loopback directly, also where the machine has a proxy."""
    monkeypatch.setenv("no_proxy", "*")
