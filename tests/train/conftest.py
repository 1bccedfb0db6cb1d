"""Small data sets of real digits, and a recipe that takes seconds."""

from dataclasses import replace

import numpy as np
import pytest

from edgemnist.digits.training import RECIPES
from edgemnist.pipeline.data.dataset import Dataset, Split, identified
from edgemnist.pipeline.data.sources import embedded_dataset
from edgemnist.pipeline.train.recipes import Recipe


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """2,000 training and 500 test images of MNIST."""
    return small_dataset()


def small_dataset() -> Dataset:
    """Return 2,000 training and 500 test images of MNIST, evenly of each digit."""
    whole = embedded_dataset()
    return of(_evenly(whole.train, 200), _evenly(whole.test, 50))


def of(train: Split, test: Split) -> Dataset:
    """Return a data set of digits."""
    return identified(train, test, [str(digit) for digit in range(10)], source="a test")


def _evenly(split: Split, per_class: int) -> Split:
    chosen = np.concatenate([np.flatnonzero(split.labels == digit)[:per_class] for digit in range(10)])
    return Split(split.images[chosen], split.labels[chosen])


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
