"""Graphs that are not what they seem are refused by name, by the integer reference and the native engine alike."""

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import reference_directory
from edgemnist.model.native.network import read_network
from edgemnist.model.runtimes.integer import IntegerClassifier, Rounding, elementwise, needed, step
from edgemnist.model.runtimes.tflite import Graph, Operator, Table, read_graph
from edgemnist.model.task import default_input
from tests.messages import Told
from tests.native.networks import GraphBuilder, Options, spec_of
from tests.runtimes.test_integer_steps import tensor


def dense() -> Graph:
    """Return a graph of one dense layer and a softmax: its pixels, outputs, weights, bias and probabilities."""
    builder = GraphBuilder(1)
    source = builder.activation(784, scale=1 / 255, plain=True)
    return builder.ending_in(builder.softmax(builder.dense(source, 784, 10), 10))


PIXELS, OUTPUTS, WEIGHTS, BIAS, PROBABILITIES = range(5)


def changed(index: int, **properties: Any) -> Graph:
    graph = dense()
    tensors = [replace(one, **properties) if at == index else one for at, one in enumerate(graph.tensors)]
    return replace(graph, tensors=tuple(tensors))


def constant(values: Any, dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": np.shape(values), "content": np.asarray(values, dtype).reshape(-1).view(np.uint8)}


def with_operators(*kinds: str) -> Graph:
    graph = dense()
    operators = [replace(one, kind=kind) for one, kind in zip(graph.operators, kinds, strict=False)]
    return replace(graph, operators=tuple(operators))


def scales(*values: float) -> dict[str, Any]:
    return {"scales": np.array(values, np.float32)}


def transposed(order: tuple[int, ...], sizes: tuple[int, ...], made: tuple[int, ...]) -> Graph:
    sketch = GraphBuilder(0)
    given, source, target = (sketch.add("int8", (1, *shape), 1.0, 0) for shape in ((12,), sizes, made))
    axes = sketch.add("int32", (len(order),), [], 0, np.array(order, "<i4"))
    return sketch.ending_in(sketch.operate("TRANSPOSE", sketch.operate("RESHAPE", given, source), target, axes))


NOTHING = np.empty(0, np.uint8)

REFUSED = [
    # Biases.
    *(changed(BIAS, **constant([1] * 10, dtype)) for dtype in ("float32", "int64")),
    *(changed(BIAS, content=NOTHING), changed(BIAS, **constant([1] * 9, "int32"))),
    # Weights that are not a constant matrix of symmetric int8, or have other scales.
    *(changed(WEIGHTS, **one) for one in ({"dtype": "uint8"}, {"content": NOTHING}, {"zero_points": np.array([1])})),
    changed(WEIGHTS, shape=(7840,)),
    *(changed(WEIGHTS, **scales(*values)) for values in ((1, 2, 3), [-1.0] * 10, [np.nan] * 10, (np.inf,))),
    # Outputs.
    changed(OUTPUTS, dtype="float32"),
    *(changed(OUTPUTS, **scales(*values)) for values in ((1, 2), (0,), (np.inf,), (np.nan,))),
    changed(OUTPUTS, zero_points=np.array([], np.int64)),
    *(
        changed(OUTPUTS, dtype=dtype, zero_points=np.array([zero]))
        for dtype, zero in (("int8", 128), ("int8", -129), ("uint8", -1), ("uint8", 256))
    ),
    *(changed(OUTPUTS, shape=shape) for shape in ((-1, 0), (1, 11))),
    changed(PROBABILITIES, shape=(1, 9)),
    # Softmaxes.
    *(changed(OUTPUTS, **scales(1e-9)), changed(PROBABILITIES, **scales(1 / 255))),
    changed(PROBABILITIES, dtype="int8", zero_points=np.array([-127])),
    # Operators that are not known, make nothing, or lack something.
    with_operators("SPACE_TO_BATCH_ND", "SOFTMAX"),
    replace(dense(), operators=(Operator(kind="CALL_ONCE", inputs=(), outputs=(), options=None),)),
    replace(dense(), operators=(replace(dense().operators[0], inputs=(0, -1, 3)),)),
    *(transposed((1, 0, 2), (3, 4), (3, 4)), transposed((0, 2, 1), (3, 4), (3, 4))),
    transposed((0, 2, 1), (8, 2**18), (2**18, 8)),
    # What leads nowhere.
    *(replace(dense(), operators=dense().operators[1:]), with_operators("FULLY_CONNECTED")),
    *(replace(dense(), inputs=(0, 0)), replace(dense(), outputs=(4, 4))),
]


def test_a_graph_is_refused_by_name(told: Told) -> None:
    for graph in REFUSED:
        with told():
            read_network(graph)
        with pytest.raises(ValueError, match=re.escape(told.heard[-1].removeprefix("ValueError: "))):
            IntegerClassifier(graph, Path("x.tflite"))


def test_the_engine_transposes_as_many_numbers_as_its_fields_hold() -> None:
    for rows, words in ((32_767, "and makes 12 numbers"), (32_768, r"its TRANSPOSE is of an array of \[1, 2, 32768\]")):
        with pytest.raises(ValueError, match=words):
            read_network(transposed((0, 2, 1), (2, rows), (rows, 2)))


def test_the_same_graph_is_taken_as_it_was() -> None:
    assert read_network(dense()).classes == 10
    for zero in (-128, 127):
        assert read_network(changed(OUTPUTS, dtype="int8", zero_points=np.array([zero]))).classes == 10


def test_a_step_of_an_unknown_operator_is_refused_and_no_requantization() -> None:
    graph = dense()
    other = Operator(kind="ABS", inputs=(0,), outputs=graph.operators[0].outputs, options=None)
    for take in (lambda: step(graph, other, Rounding()), lambda: elementwise(graph, other)):
        with pytest.raises(ValueError, match=r"^it has the operator ABS, which is not known$"):
            take()


@pytest.mark.parametrize("kind", ["MUL", "ADD", "SUB"])
def test_numbers_of_two_tensors_are_no_table(kind: str) -> None:
    source, target = tensor(scale=0.5, shape=(1, 2)), tensor(scale=1.0, shape=(1, 2))
    operator = Operator(kind=kind, inputs=(0, 2), outputs=(1,), options=None)
    for other in (tensor(values=np.array([3, 4], np.int8)), tensor(shape=(1,))):
        graph = Graph(tensors=(source, target, other), operators=(operator,), inputs=(0,), outputs=(1,))
        with pytest.raises(ValueError, match=f"^it has a {kind} of more than a single number$"):
            elementwise(graph, operator)


def test_a_graph_that_shares_its_weights_is_no_small_one() -> None:
    """A file of a megabyte can have a matrix of half of it, and a thousand operators that use it."""
    too_large = r"^it has more than 2,000 operators, or 16 MB of weights$"
    for side, most in ((1024, 16), (1, 2000)):
        weights = tensor(values=np.zeros((side, side), np.int8))
        for count in (most, most + 1):
            layers = [
                Operator(kind="FULLY_CONNECTED", inputs=(index, count + 1, -1), outputs=(index + 1,), options=None)
                for index in range(count)
            ]
            tensors = (*[tensor()] * (count + 1), weights)
            graph = Graph(tensors=tensors, operators=tuple(layers), inputs=(0,), outputs=(count,))
            with contextlib.nullcontext() if count == most else pytest.raises(ValueError, match=too_large):
                assert len(needed(graph)) == most


def test_a_depthwise_convolution_that_would_be_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two outputs a channel it becomes a plain one, whose weights grow with the square of the channels."""
    builder = GraphBuilder(3)
    source = builder.activation(784, scale=1 / 255, plain=True)
    builder.tensors[source] = replace(builder.tensors[source], shape=(1, 14, 28, 2))
    target = builder.activation(14 * 28 * 4)
    weights = builder.add("int8", (1, 1, 1, 4), 0.01, 0, np.ones(4, np.int8))
    builder.operate("DEPTHWISE_CONV_2D", source, target, weights, options=Options(1, 1, 1, 2))
    graph = builder.ending_in(builder.dense(target, 14 * 28 * 4, 10))
    monkeypatch.setattr("edgemnist.model.native.network.MOST_WEIGHTS", 8)
    # Two for each of its outputs.
    products = 14 * 28 * 4 * 2
    monkeypatch.setattr("edgemnist.model.native.network.MOST_PRODUCTS", products)
    assert read_network(graph, spec_of(graph)).classes == 10
    monkeypatch.setattr("edgemnist.model.native.network.MOST_PRODUCTS", products - 1)
    with pytest.raises(ValueError, match=f"'tensor 2' needs {products:,} products, and up to"):
        read_network(graph, spec_of(graph))
    monkeypatch.setattr("edgemnist.model.native.network.MOST_WEIGHTS", 7)
    with pytest.raises(ValueError, match="'tensor 2' needs 8 weights, and up to 7 are possible"):
        read_network(graph, spec_of(graph))


def test_a_tensor_before_the_first_is_not_the_last() -> None:
    data = (reference_directory() / "tflite-int8.tflite").read_bytes()
    assert read_graph(data).outputs[0] > 0
    subgraph = Table.root(data, b"TFL3").tables(2)[0]
    operator = subgraph.tables(3)[0]
    for table, field, number in ((subgraph, 1, -1), (subgraph, 2, -1), (operator, 1, -2), (operator, 2, -1)):
        broken, (start, _) = bytearray(data), table._vector(field)
        broken[start : start + 4] = number.to_bytes(4, "little", signed=True)
        with pytest.raises(ValueError, match="refers to a tensor before the first"):
            read_graph(bytes(broken))


def test_a_file_that_is_not_in_integers_or_of_other_images_is_refused_with_what_is_taken() -> None:
    path = Path(__file__).parents[1] / "exports" / "made_by_0.1.0" / "tflite-float32.tflite"
    with pytest.raises(
        ArtifactError, match=r"tflite-float32\.tflite cannot be computed in integers: its ten"
    ) as caught:
        IntegerClassifier.load(path)
    assert "full-int8 TFLite files of dense layers, convolutions and pooling" in caught.value.hint
    with pytest.raises(ArtifactError, match=r"its input is an array of \[-1, 28, 29\]"):
        IntegerClassifier(changed(PIXELS, shape=(-1, 28, 29)), path, spec=default_input())
