"""What an export changes in an ONNX graph beyond what the tools do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INPUT = "images"
OUTPUT = "scores"
BATCH = "batch"
GRAPH = "classifier"

_COUNTER = re.compile(r"__\d+")


def canonicalize(model: Any) -> Any:  # noqa: ANN401 - ONNX has no types
    """Give everything a name that is the same in every export of the same model.

    tf2onnx numbers what it adds with counters of the whole process, and lists the weights in an order of its own. The
    input becomes `images`, the output `scores`, and the first dimension of both `batch`. Changes the ModelProto, and
    returns it.
    """
    graph = model.graph
    graph.name, graph.doc_string = GRAPH, ""
    source, target = graph.input[0], graph.output[0]
    names = {source.name: INPUT, target.name: OUTPUT}
    taken = {INPUT, OUTPUT, ""}
    for name in _names(graph):
        if name not in names and name:
            names[name] = _unique(_COUNTER.sub("", name), taken)
    _rename(graph, names)
    for tensor in (source, target):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH
    initializers = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    return model


def last_softmax(path: Path) -> list[str]:
    """Return the name of the node that makes probabilities of the scores of an ONNX file, or nothing."""
    import onnx

    graph = onnx.load(path).graph
    return [node.name for node in graph.node if node.op_type == "Softmax" and graph.output[0].name in node.output]


def with_float_scores(model: Any) -> Any:  # noqa: ANN401 - ONNX has no types
    """Take out the quantization between the last layer and the softmax, or the output where there is no softmax.

    The layer computes in int8 as before, and its sums, 32 bits wide, go on as they are. Rounding them to 8 bits was the
    larger part of the error: without it 784-512-10 flips 10 of 10,000 labels instead of 23, and is no slower. Changes
    the ModelProto, and returns it.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    end = makers[graph.output[0].name]
    dequantize = makers.get(end.input[0]) if end.op_type == "Softmax" else end
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return model
    quantize = makers.get(dequantize.input[0])
    if quantize is None or quantize.op_type != "QuantizeLinear" or uses[quantize.input[0]] != 1:
        return model
    exact, rounded = quantize.input[0], dequantize.output[0]
    graph.node.remove(quantize)
    graph.node.remove(dequantize)
    if end.op_type == "Softmax":
        end.input[0] = exact
    else:
        makers[exact].output[0] = rounded
    _drop_unused_constants(graph)
    return model


def _drop_unused_constants(graph: Any) -> None:  # noqa: ANN401 - ONNX has no types
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _names(graph: Any) -> Iterator[str]:  # noqa: ANN401 - ONNX has no types
    """Yield the names of nodes and tensors in the order of execution, which the process's history does not change."""
    for node in graph.node:
        yield node.name
        yield from node.input
        yield from node.output
        for inner in _inner(node):
            yield from (tensor.name for tensor in inner.input)
            yield from _names(inner)
            yield from (tensor.name for tensor in inner.output)
    yield from sorted(tensor.name for tensor in graph.initializer)


def _rename(graph: Any, names: dict[str, str]) -> None:  # noqa: ANN401 - ONNX has no types
    # Shapes in between are inferred again by whoever wants them.
    del graph.value_info[:]
    for node in graph.node:
        node.name = names.get(node.name, "")
        for field in (node.input, node.output):
            field[:] = [names.get(name, "") for name in field]
        for inner in _inner(node):
            _rename(inner, names)
    for tensor in (*graph.input, *graph.output, *graph.initializer):
        tensor.name = names.get(tensor.name, tensor.name)


def _inner(node: Any) -> Iterator[Any]:  # noqa: ANN401 - ONNX has no types
    """Yield the graphs within a node: bodies of loops, branches of conditions."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
