"""A SavedModel of TensorFlow as a source: its serving signature becomes an ONNX file, and answers beside it.

A SavedModel is a program, and its operators may read and write files. What is not needed to compute an answer is never
called: there are weights and functions alone, and the signature reaches only operators that an ONNX file can have.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import UsageError
from edgemnist.model.runtimes import read_file
from edgemnist.pipeline.export.to_onnx import from_function

Foreign: TypeAlias = Any
"""A message, function or tensor of TensorFlow, which has no types."""

FILE: Final = "saved_model.pb"
"""In its directory: what such a model is called by."""
SIGNATURE: Final = "serving_default"
"""Taken if there are several."""
HINT: Final = "Save the part of it that maps numbers to an answer: model.export(DIR), or tf.saved_model.save."

_KINDS: Final = {"user_object", "function", "bare_concrete_function", "variable", "constant", "captured_tensor"}
"""What loading creates without calling a function: a table, an asset or another resource has one that fills it."""
_CALLS: Final = {"PartitionedCall", "StatefulPartitionedCall", "ReadVariableOp", "Placeholder", "Const", "NoOp"}
_SAVING: Final = {
    *("RestoreV2", "SaveV2", "MergeV2Checkpoints", "ShardedFilename", "StaticRegexFullMatch", "StringJoin")
}


def onnx_of(path: Path) -> bytes:
    """Return an ONNX file of the serving signature of the SavedModel in the directory of `path`.

    Raises UsageError for what has no signature of one input and one answer, and for one that reaches an operator that
    ONNX does not have; and what TensorFlow raises for a damaged one.
    """
    return _opened(path)[0]


def answers_of(path: Path) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """Return what TensorFlow answers by that signature: a function of float32 [N, ...]. Raises what `onnx_of` does."""
    return _opened(path)[1]


@lru_cache(maxsize=1)
def _opened(path: Path) -> tuple[bytes, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]]:
    import tensorflow as tf

    _check_loading(path)
    loaded = tf.saved_model.load(str(path.parent), tags=["serve"])
    signatures = loaded.signatures
    name = next(iter(signatures)) if len(signatures) == 1 else SIGNATURE
    if name not in signatures:
        names = ", ".join(sorted(signatures)) or "none"
        raise UsageError(f"{path} has no signature {SIGNATURE!r} (it has {names})", hint=HINT)
    signature = signatures[name]
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    if len(takes) != 1 or len(gives) != 1:
        words = ", ".join([*sorted(takes), *sorted(gives)])
        raise UsageError(f"{path} must have one input and one output (its {name!r} has {words})", hint=HINT)
    _check_operators(path, signature.graph.as_graph_def())
    ((source, spec),), (target,) = takes.items(), gives

    def answer(rows: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
        # By way of what was loaded, which the weights live as long as.
        return loaded.signatures[name](**{source: rows})[target]

    if not spec.shape.rank:
        raise UsageError(f"{path} takes a tensor of no fixed number of axes", hint=HINT)
    proto = from_function(answer, spec)
    if spec.shape[0] is not None:
        for end in (proto.graph.input[0], proto.graph.output[0]):
            end.type.tensor_type.shape.dim[0].dim_value = spec.shape[0]
    data = bytes(proto.SerializeToString(deterministic=True))
    return data, lambda rows: np.asarray(answer(tf.constant(rows, spec.dtype)))


def _check_loading(path: Path) -> None:
    """Raise UsageError where loading would do more than create weights."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    graphs = saved_model_pb2.SavedModel.FromString(read_file(path)).meta_graphs
    graph = next((one for one in graphs if "serve" in one.meta_info_def.tags), None)
    if graph is None or not graph.object_graph_def.nodes:
        raise UsageError(
            f"{path} is of TensorFlow 1, or not for serving",
            hint=f"Make an ONNX file of it: python -m tf2onnx.convert --saved-model {path.parent} --output model.onnx",
        )
    for node in graph.object_graph_def.nodes:
        if (kind := node.WhichOneof("kind")) not in _KINDS or node.saveable_objects or node.registered_saver:
            why = f"something beside weights and functions: {kind}" if kind not in _KINDS else "weights of its own kind"
            raise UsageError(f"{path} is not opened: it has {why}", hint=HINT)
    for node in _nodes(graph.graph_def):
        operator = None if node.op in _SAVING else op_def_registry.get(node.op)
        # Constants are computed while shapes are inferred.
        if operator is not None and any(one.type == types_pb2.DT_STRING for one in operator.input_arg):
            raise UsageError(
                f"{path} is not opened: its operator {node.op} ({node.name}) takes texts or files", hint=HINT
            )


def _check_operators(path: Path, graph: Foreign) -> None:
    """Raise UsageError for an operator of a signature, or of what it calls, that ONNX cannot have."""
    import tf2onnx.tfonnx  # noqa: F401 - it registers them
    from tf2onnx.handler import tf_op

    known = _CALLS.union(*(versions for domain in tf_op.get_opsets().values() for versions in domain if versions))
    for node in _nodes(graph):
        if node.op not in known:
            raise UsageError(f"{path} cannot be exported: its operator {node.op} ({node.name}) is not read", hint=HINT)


def _nodes(graph: Foreign) -> Iterator[Foreign]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def
