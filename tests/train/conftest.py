"""Small data sets of real digits, and a reporter that listens and can press Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from edgemnist.data.dataset import Dataset, Split, identified
from edgemnist.data.sources import embedded_dataset
from edgemnist.progress import SILENT, Reporter, Task
from edgemnist.train.recipes import RECIPES, Recipe


class Listener(Reporter):
    """Remembers what was told, and presses Ctrl-C after `interrupt_after` epochs."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.notices: list[str] = []
        self.totals: list[float | None] = []
        self.updates: list[tuple[float, str]] = []
        self.interrupt_after = interrupt_after

    def notice(self, message: str) -> None:
        """Remember a notice."""
        self.notices.append(message)

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Remember a task and its progress."""
        del description
        self.totals.append(total)
        yield _Listening(self)


class _Listening(Task):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def update(self, completed: float, detail: str = "") -> None:
        self._listener.updates.append((completed, detail))
        if completed == self._listener.interrupt_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="session")
def dataset(cache: Path, shared_directory: Path) -> Dataset:
    """2,000 training and 500 test images of MNIST."""
    with FileLock(shared_directory / "embedded.lock"):
        return small_dataset(cache)


def small_dataset(cache: Path) -> Dataset:
    """Return 2,000 training and 500 test images of MNIST, evenly of each digit."""
    whole = embedded_dataset(cache, SILENT)
    return of(_evenly(whole.train, 200), _evenly(whole.test, 50))


def of(train: Split, test: Split) -> Dataset:
    """Return a data set of digits."""
    return identified(train, test, [str(digit) for digit in range(10)], source="a test")


def _evenly(split: Split, per_class: int) -> Split:
    chosen = np.concatenate([np.flatnonzero(split.labels == digit)[:per_class] for digit in range(10)])
    return Split(split.images[chosen], split.labels[chosen])


@pytest.fixture(scope="module")
def no_pictures() -> Iterator[None]:
    """Let trainings draw nothing, which takes as long as to train with 2,000 images."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("curves_png", "confusion_png", "mistakes_png", "filters_png"):
            patch.setattr(f"edgemnist.train.run.{name}", lambda *_: b"a picture")
        yield


@pytest.fixture
def quick_best(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The recipe `best` with a teacher of three epochs and four copies of 2,000 images; XLA would take seconds more."""
    recipe = replace(quick(RECIPES["best"]), xla=False)
    monkeypatch.setitem(RECIPES, "best", recipe)
    return recipe


def quick(best: Recipe) -> Recipe:
    """Return the recipe with a teacher and copies that take seconds."""
    assert best.distillation is not None
    teacher = replace(best.distillation.teacher, images_seen=6_000)
    return replace(best, distillation=replace(best.distillation, images=8_000, teacher=teacher))
