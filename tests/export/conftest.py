"""Keras models to export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.sources import find_dataset


@pytest.fixture(scope="session")
def dataset(cache: Path) -> Dataset:
    return find_dataset(cache=cache, download=False)


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """Save a Keras model of some layers, with random weights of a fixed seed."""

    def save(*layers: Any, name: str = "foreign.keras") -> Path:
        import keras

        model = keras.Sequential(layers)
        random = np.random.default_rng(0)
        model.set_weights([random.normal(0, 0.1, weights.shape) for weights in model.get_weights()])
        model.save(tmp_path / name)
        return tmp_path / name

    return save
