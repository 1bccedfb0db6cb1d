"""From a function of TensorFlow to an ONNX file that is the same each time."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

OPSET: Final = 17
"""From 2022: ONNX Runtime 1.12 and later execute it, and nothing newer is needed."""


def from_function(function: Callable[[Any], Any], signature: Any) -> Any:  # noqa: ANN401 - TensorFlow and ONNX have no types
    """Return the ModelProto of a function of one tensor, which tf2onnx makes, with names that are always the same."""
    import tensorflow as tf
    import tf2onnx

    made, _ = tf2onnx.convert.from_function(
        tf.function(function), input_signature=[signature], opset=OPSET, custom_op_handlers=_HANDLERS
    )
    return canonicalize(made)


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:  # noqa: ANN401 - tf2onnx has no types
    """Replace Erfc, which ONNX lacks and Keras's GELU has, with 1 - Erf."""
    del name, arguments
    erf = context.make_node("Erf", [node.input[0]])
    one = context.make_const(f"{node.name}_one", np.array(1, np.float32))
    shape, kind = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    output = node.output[0]
    context.remove_node(node.name)
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=node.name, outputs=[output], shapes=[shape], dtypes=[kind]
    )


_HANDLERS: Final[dict[str, tuple[Callable[..., None], list[Any]]]] = {"Erfc": (_erfc, [])}
"""Operations of TensorFlow that tf2onnx does not know."""

INPUT = "images"
OUTPUT = "scores"
BATCH = "batch"
GRAPH = "classifier"

_COUNTER = re.compile(r"__\d+")
# Of equal constants tf2onnx keeps any one: they all get the name of one that was folded.
_CONSTANT = re.compile(r"^const(_\w+)?$")


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
            names[name] = _unique(_CONSTANT.sub("const_fold_opt", _COUNTER.sub("", name)), taken)
    _rename(graph, names)
    for tensor in (source, target):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH
    initializers = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    return model


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
