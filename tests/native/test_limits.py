"""Every limit of the engine is where it says: classes, products, and the softmax at its ends."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.native import network as networks
from edgemnist.model.native.classifier import NativeClassifier, kernel_names
from edgemnist.model.native.layers import Kind, Layer, Summing
from edgemnist.model.native.network import read_network
from edgemnist.model.runtimes.integer import IntegerClassifier, plan
from edgemnist.model.runtimes.tflite import Graph
from tests.native.networks import GraphBuilder


def classes_graph(width: int, scale: float = 0.1, *, softmax: bool = True) -> Graph:
    """Return a graph whose first `width` pixels are its logits, as they are and in turn, perhaps before a softmax."""
    builder = GraphBuilder(1)
    source = builder.add("int8", (1, 784), 1 / 255, -128)
    hidden = builder.add("int8", (1, width), scale, -128)
    weights = builder.add("int8", (width, 784), scale * 255, 0, np.eye(784, dtype=np.int8)[np.arange(width) % 784])
    builder.operate("FULLY_CONNECTED", source, hidden, weights)
    return builder.ending_in(builder.softmax(hidden, width) if softmax else hidden)


def test_a_network_has_up_to_4096_outputs_and_a_softmax_one_less() -> None:
    """Which adds up 4,095 numbers of at most 2^19 in 31 bits."""
    for softmax, most in ((True, 4_095), (False, 4_096)):
        for width in (1, most):
            assert read_network(classes_graph(width, softmax=softmax)).classes == width
        graph = classes_graph(most + 1, softmax=softmax)
        with pytest.raises(ValueError, match=r"4,096 inputs, and up to 4,095|4,097 outputs, and up to 4,096"):
            read_network(graph)
    with pytest.raises(ValueError, match="its SOFTMAX has 4,096 inputs, and up to 4,095 are possible"):
        plan(classes_graph(4_096))


def ends_of_a_softmax(width: int) -> npt.NDArray[np.uint8]:
    """Return images whose first pixels are equal, one far above all others, all distances, and each distance alone."""
    logits = [np.full(width, value) for value in (0, 1, 255)]
    logits += [np.where(np.arange(width) == 0, 255, 255 - distance) for distance in range(256)]
    logits += [np.where(np.arange(width) < width // 2, 255, 255 - distance) for distance in range(256)]
    logits += [(np.arange(width) * step) % 256 for step in (1, 3, 255)]
    images = np.zeros((len(logits), 784), dtype=np.uint8)
    images[:, :width] = np.array(logits)[:, :784]
    return images.reshape(-1, 28, 28)


@pytest.mark.needs("engine")
@pytest.mark.parametrize("scale", [1e-4, 0.0217, 0.1, 0.3, 1.0, 3.99, 60.0])
@pytest.mark.parametrize("width", [2, 3, 10, 256, 4_095])
def test_the_softmax_in_c_is_the_references_to_its_ends(width: int, scale: float) -> None:
    graph, images = classes_graph(width, scale), ends_of_a_softmax(width)
    expected = IntegerClassifier(graph, Path("softmax")).predict_proba(images)
    for kernel in kernel_names():
        classifier = NativeClassifier(read_network(graph), Path("softmax"), kernel=kernel)
        np.testing.assert_array_equal(classifier.predict_proba(images), expected, err_msg=kernel)


def test_products_fill_64_bits_and_not_one_more() -> None:
    multiplier, shift = 2**31 - 1, 62
    largest = (2**63 - 1 - 2**30 - 2 ** (shift - 1)) // multiplier

    def dense(bias: int) -> Layer:
        sums = Summing(
            weights=np.zeros((1, 784), np.int8),
            bias=np.array([bias], np.int64),
            multiplier=np.array([multiplier], np.int32),
            shift=np.array([shift], np.uint8),
        )
        return Layer(kind=Kind.DENSE, name="dense", zero_point=0, low=0, high=255, sums=sums)

    for sign in (1, -1):
        networks._check(dense(sign * largest))
        with pytest.raises(ValueError, match=f"reach {largest + 1:,}, which is beyond 64-bit products"):
            networks._check(dense(sign * (largest + 1)))
