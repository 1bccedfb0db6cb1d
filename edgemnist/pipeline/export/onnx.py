"""ONNX, which ONNX Runtime executes, and many others."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final

import msgspec
import numpy as np

from edgemnist.ground.arrays import batches
from edgemnist.model.exports.manifest import TensorSpec
from edgemnist.model.runtimes.onnxruntime import LABELS_KEY, RANGE_KEY, ONNXRuntimeClassifier
from edgemnist.model.task import TASKS, TaskEntry
from edgemnist.pipeline.export.interface import Constant, Exported, Exporter, wrong_weights
from edgemnist.pipeline.export.model import OnnxSource

OPSET: Final = 17
"""From 2022: ONNX Runtime 1.12 and later execute it, and nothing newer is needed."""

REDUCE_RANGE: Final = True
"""Weights of 7 bits. With 8, x86 processors that have AVX2 and no VNNI add two products in 16 bits, which saturates: an
emulated Haswell then gave other labels than AVX-512 VNNI on 55 of 10,000 images (int8) and 54 (dynamic), with up to
0.49 between the probabilities, and lost 0.3 points of accuracy. With 7, both gave the same bits. The price for
512 units is 10 flips against Keras instead of 5 (int8), and 8 instead of 3 (dynamic)."""
LARGEST_WEIGHT: Final = 64
"""In these 7 bits, as ONNX Runtime's tools have it."""

_WEIGHTS: Final = {"float32": "float32", "int8": "int8", "dynamic": "int8"}
_NEEDED: Final = {
    "float32": set(),
    "int8": {"QuantizeLinear", "DequantizeLinear"},
    "dynamic": {"DynamicQuantizeLinear"},
}
_QUANTIZING: Final = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}

INPUT = "images"
OUTPUT = "scores"
BATCH = "batch"
GRAPH = "classifier"

_COUNTER = re.compile(r"__\d+")
# Of equal constants tf2onnx keeps any one: they all get the name of one that was folded.
_CONSTANT = re.compile(r"^const(_\w+)?$")


class ONNXExporter(Exporter):
    """Converts with tf2onnx, and quantizes with ONNX Runtime's tools."""

    format: ClassVar[str] = "onnx"

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return an ONNX file; see `Exporter.convert`."""
        import onnx

        if isinstance(self.source, OnnxSource) and model is self.source.model and quantization == "float32":
            return self.source.data
        proto = self._convert(model)
        onnx.checker.check_model(proto, full_check=True)
        if quantization != "float32":
            proto = self._quantized(proto, quantization)
        onnx.helper.set_model_props(proto, self._properties(quantization))
        onnx.checker.check_model(proto, full_check=True)
        return bytes(proto.SerializeToString(deterministic=True))

    def _properties(self, quantization: str) -> dict[str, str]:
        spec = self.source.spec
        # What pictures of other classes show, nothing says.
        known = [entry for _, entry in TASKS.items() if entry.labels == self.labels and _shape(entry) == spec.shape]
        shows, what, scaled = [entry.meaning for entry in known], spec.words(), spec.scaling
        if spec.is_picture:
            what = what.replace("images", "pixels", 1)
            ends = spec.ends[0]
            if spec.range is not None:
                scaled = "each divided by 255" if spec.is_unit else f"{ends[0]:g} for black to {ends[1]:g} for white"
        return {
            **({} if self.source.numbers else {LABELS_KEY: msgspec.json.encode(self.labels).decode()}),
            "preprocessing": ", ".join([*filter(None, shows), what, scaled]),
            **({RANGE_KEY: spec.scaling} if spec.dtype == "uint8" else {}),
            "quantization": quantization,
            "source_sha256": self.source.sha256,
        }

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return what is not quantized as it should be; see `Exporter.departures`."""
        import onnx

        if data == self.source.data:
            return []
        graph = onnx.load_from_string(data).graph
        found = wrong_weights(_constants(graph), _WEIGHTS[quantization])
        if quantization == "float32":
            operations = {node.op_type for node in graph.node}
            found += [f"it has {operation}" for operation in sorted(operations & _QUANTIZING)]
        return found

    def runs(self, data: bytes) -> bool:
        """Return whether ONNX Runtime executes an ONNX file; see `Exporter.runs`."""
        import onnxruntime

        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        image = np.zeros((1, *self.keras.input_shape), np.float32)
        session.run(None, {session.get_inputs()[0].name: image})
        return True

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Open an ONNX file in ONNX Runtime; see `Exporter.inspect`."""
        import onnx
        import onnxruntime

        self.open(ONNXRuntimeClassifier, data, quantization)
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        source, target = _spec(session.get_inputs()[0]), _spec(session.get_outputs()[0])
        graph = onnx.load_from_string(data).graph
        for missing in sorted(_NEEDED[quantization] - {node.op_type for node in graph.node}):
            raise self._not_as_asked(quantization, f"it has no {missing}")
        exported = Exported(data, source, target)
        if data == self.source.data:
            return exported
        return self._checked(exported, quantization, "float32", _constants(graph), _WEIGHTS[quantization])

    def _convert(self, model: Any) -> Any:  # noqa: ANN401 - ONNX has no types
        import tensorflow as tf
        import tf2onnx

        # Not from_keras, which fails with Keras 3.
        made, _ = tf2onnx.convert.from_function(
            tf.function(lambda images: model(images, training=False)),
            input_signature=[tf.TensorSpec((None, *self.keras.input_shape), tf.float32, name=INPUT)],
            opset=OPSET,
            custom_op_handlers=_HANDLERS,
        )
        return canonicalize(made)

    def _quantized(self, proto: Any, quantization: str) -> Any:  # noqa: ANN401 - ONNX has no types
        """Return a model after one of ONNX Runtime's quantizations, which work on files."""
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        common = {"per_channel": True, "reduce_range": REDUCE_RANGE, "weight_type": QuantType.QInt8}
        with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
            original, prepared, made = (Path(directory) / f"{stage}.onnx" for stage in ("from", "prepared", "to"))
            onnx.save(proto, original)
            # The symbolic shape inference needs sympy, and has nothing to find out in a model of one free dimension.
            quant_pre_process(original, prepared, skip_symbolic_shape=True)
            if quantization == "dynamic":
                quantize_dynamic(prepared, made, **common)
                return with_channel_scales(onnx.load(made), onnx.load(prepared))
            inputs = ({INPUT: self.keras.tensor(batch)} for batch in batches(self.calibration, 100))
            quantize_static(
                prepared,
                made,
                SimpleNamespace(get_next=lambda: next(inputs, None)),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8,
                nodes_to_exclude=last_softmax(prepared),
                **common,
            )
            return with_float_scores(onnx.load(made))


def _shape(entry: TaskEntry) -> tuple[int, ...]:
    return () if entry.input is None else entry.input.shape


def _spec(tensor: Any) -> TensorSpec:  # noqa: ANN401 - ONNX Runtime has no types
    dtype = {"tensor(float)": "float32"}.get(tensor.type, tensor.type)
    # A free size may have no name.
    return TensorSpec(name=tensor.name, dtype=dtype, shape=[BATCH if one is None else one for one in tensor.shape])


def _constants(graph: Any) -> list[Constant]:  # noqa: ANN401 - ONNX has no types
    import onnx

    return [
        Constant(
            name=constant.name,
            dtype=np.dtype(onnx.helper.tensor_dtype_to_np_dtype(constant.data_type)).name,
            shape=tuple(constant.dims),
        )
        for constant in graph.initializer
    ]


def last_softmax(path: Path) -> list[str]:
    """Return the name of the node that turns the scores of an ONNX file into probabilities, or nothing."""
    import onnx

    graph = onnx.load(path).graph
    return [node.name for node in graph.node if node.op_type == "Softmax" and graph.output[0].name in node.output]


def with_channel_scales(model: Any, original: Any) -> Any:  # noqa: ANN401 - ONNX has no types
    """Give the kernels of each convolution of dynamic quantization a scale for each output channel.

    ONNX Runtime's tool has one for all of them, whatever `per_channel` says, where the weights of a matrix have one for
    each column. Changes the ModelProto, and returns it.
    """
    from onnx import numpy_helper

    kernels = {tensor.name: tensor for tensor in original.graph.initializer}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        name = node.input[1].removesuffix("_quantized") if node.op_type == "ConvInteger" else ""
        if name not in kernels:
            continue
        kernel = numpy_helper.to_array(kernels[name])
        largest = np.abs(kernel).max(axis=tuple(range(1, kernel.ndim)), keepdims=True)
        scales = np.where(largest > 0, largest, 1) / LARGEST_WEIGHT
        levels = np.rint(kernel / scales).astype(np.int8)
        constants[node.input[1]].CopyFrom(numpy_helper.from_array(levels, node.input[1]))
        # Of an answer [N, channels, ...].
        constants[f"{name}_scale"].CopyFrom(numpy_helper.from_array(scales[:, 0].astype(np.float32), f"{name}_scale"))
    return model


def with_float_scores(model: Any) -> Any:  # noqa: ANN401 - ONNX has no types
    """Take out the quantization between the last layer and the softmax, or the output without a softmax.

    The layer computes in int8 as before, and its sums, 32 bits wide, go on as they are. Rounding them to 8 bits was the
    larger part of the error: without it 512 units flip 10 of 10,000 labels instead of 23, and are no slower. Changes
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
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


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
