"""What the tests of real-world digits share: handwritten digits, and the model that comes with the package."""

import pytest

import edgemnist
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes.interface import Classifier
from tools.likeness.page import Digits


@pytest.fixture(scope="session")
def digits() -> Digits:
    """The MNIST test digits, which the model of `classifier` has not seen."""
    return evaluation_digits()


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """The reference model."""
    return edgemnist.load(reference_directory() / "tflite-int8.tflite")
