"""Small data sets in files, a listener for notices, and mirrors on loopback."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from edgemnist.data.dataset import Dataset
from edgemnist.data.idx import encode_idx
from edgemnist.data.sources import embedded_dataset
from edgemnist.progress import SILENT, Reporter, Task
from tests.data.mirror import Mirror

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "test-images": "t10k-images-idx3-ubyte",
    "test-labels": "t10k-labels-idx1-ubyte",
}


class Listener(Reporter):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.tasks: list[tuple[str, float | None]] = []
        self.updates: list[tuple[float, str]] = []

    def notice(self, message: str) -> None:
        """Remember a notice."""
        self.notices.append(message)

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Remember a task and its progress."""
        self.tasks.append((description, total))
        yield _Updates(self.updates)

    @property
    def heard(self) -> str:
        """All notices."""
        return "\n".join(self.notices)


class _Updates(Task):
    def __init__(self, updates: list[tuple[float, str]]) -> None:
        self._updates = updates

    def update(self, completed: float, detail: str = "") -> None:
        self._updates.append((completed, detail))


WriteSet = Callable[..., Path]


@pytest.fixture
def listener() -> Listener:
    return Listener()


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


def load_embedded(cache: Path) -> Dataset:
    """Return the embedded set, parsed once for all tests and workers."""
    with FileLock(cache.with_suffix(".lock")):
        return embedded_dataset(cache, SILENT)


@pytest.fixture(scope="session")
def embedded(cache: Path) -> Dataset:
    """The embedded set: 4,000 and 1,000 images of MNIST."""
    return load_embedded(cache)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror on loopback."""
    with Mirror() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach loopback directly, also where the machine has a proxy."""
    monkeypatch.setenv("no_proxy", "*")
