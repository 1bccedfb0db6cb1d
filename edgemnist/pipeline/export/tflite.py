"""TFLite, which LiteRT executes.

A converter spreads the weights of each output over -127..127. If a network was trained for 15 or 3 levels, those are
not the integers that it was trained with, but multiples of them, rounded. Here they are restored to -7..7 or -1..1,
with the scales and biases that belong to them. So the file is still int8 to every runtime, and a C file made
from it holds a weight in 4 or 2 bits without loss.
"""

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, ModelError
from edgemnist.model.exports.manifest import TensorSpec
from edgemnist.model.runtimes.litert import LiteRTClassifier
from edgemnist.model.runtimes.tflite import IDENTIFIER, Graph, Operator, read_graph
from edgemnist.model.runtimes.untrusted import CRASHES, try_file
from edgemnist.pipeline.export.interface import Constant, Exported, Exporter, wrong_weights

_WEIGHTS: Final = {"int8": "int8", "dynamic": "int8", "float16": "float16", "float32": "float32"}
"""The dtype of the weights, by quantization."""


class TFLiteExporter(Exporter):
    """Converts with TensorFlow's converter."""

    format: ClassVar[str] = "tflite"

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a TFLite file; see `Exporter.convert`."""
        if self.source.tflite is not None:
            return self.source.tflite
        if quantization == "int8" and self.source.logits and model is self.source.model:
            with without_softmax(model, self.source.path) as cut:
                return with_trained_levels(self._convert(cut, quantization))
        data = self._convert(model, quantization)
        return with_trained_levels(data) if quantization == "int8" else data

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return what is not quantized as it should be; see `Exporter.departures`."""
        constants, activations = _tensors(data)
        found = wrong_weights(constants, _WEIGHTS[quantization])
        if quantization == "int8":
            floats = [tensor for tensor in (*activations, *constants) if tensor.dtype.startswith("float")]
            found += [f"its tensor {tensor.name!r} is {tensor.dtype}" for tensor in floats]
        return found

    def runs(self, data: bytes) -> bool:
        """Return whether LiteRT executes a TFLite file; see `Exporter.runs`."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
        return True

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Open a TFLite file in LiteRT; see `Exporter.inspect`."""
        from ai_edge_litert.interpreter import Interpreter

        if quantization == "int8":
            self._check_survived(data)
        self.open(LiteRTClassifier, data, quantization)
        interpreter = Interpreter(model_content=data)
        source, target = _spec(interpreter.get_input_details()[0]), _spec(interpreter.get_output_details()[0])
        dtype = "int8" if quantization == "int8" else "float32"
        return self._checked(
            Exported(data, source, target), quantization, dtype, _tensors(data)[0], _WEIGHTS[quantization]
        )

    def _check_survived(self, data: bytes) -> None:
        """Raise ModelError for a file that LiteRT dies of, as it may of a layer that multiplies by 256 and more."""
        with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
            (path := Path(directory) / "tflite-int8.tflite").write_bytes(data)
            try:
                try_file(path, "litert")
            except ArtifactError as error:
                # What is refused with words is refused again, with the layer at fault.
                if (crashes := CRASHES.format("the runtime litert")) in error.message:
                    failed = f"{self.source.path} cannot be exported as tflite-int8: {crashes}"
                    raise ModelError(failed, hint="Scale all of its inputs to the same range.") from error

    def _convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if quantization != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantization == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantization == "int8":
            converter.representative_dataset = self._representative
            # Nothing else: an operation without an int8 kernel is an error, and not computed in float.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with warnings.catch_warnings():
            # The statistics that it misses are those of a quantization in training.
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
            return bytes(converter.convert())

    def _representative(self) -> Iterator[list[Any]]:
        for index in range(len(self.calibration)):
            yield [self.keras.tensor(self.calibration[index : index + 1])]


@contextlib.contextmanager
def without_softmax(model: Any, path: Path) -> Iterator[Any]:  # noqa: ANN401 - Keras has no types
    """Provide a Keras model without the softmax at its end; the model itself is as before afterwards.

    Raises ModelError, in which `path` names it, if it has no softmax at its end.
    """
    import keras

    last, softmax = model.layers[-1], keras.activations.softmax
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and last.activation is softmax
    ):
        yield keras.Model(model.inputs, last.input)
    elif getattr(last, "activation", None) is softmax:
        last.activation = keras.activations.linear
        try:
            yield model
        finally:
            last.activation = softmax
    else:
        raise ModelError(
            f"{path} does not end with a softmax, so --logits has nothing to leave out",
            hint="Export it without --logits: it answers with what it has.",
        )


def _spec(detail: dict[str, Any]) -> TensorSpec:
    parameters = detail["quantization_parameters"]
    quantized = len(parameters["scales"]) > 0
    return TensorSpec(
        name=str(detail["name"]),
        dtype=np.dtype(detail["dtype"]).name,
        shape=[int(size) for size in detail["shape_signature"]],
        scale=float(parameters["scales"][0]) if quantized else None,
        zero_point=int(parameters["zero_points"][0]) if quantized else None,
    )


def _tensors(data: bytes) -> tuple[list[Constant], list[Constant]]:
    """Return the constants and the other tensors of a TFLite file.

    LiteRT itself does not say which tensors are constant.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    model = schema.Model.GetRootAs(data, 0)
    constants: list[Constant] = []
    others: list[Constant] = []
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            shape = tuple(tensor.ShapeAsNumpy().tolist()) if tensor.ShapeLength() else ()
            described = Constant(name=tensor.Name().decode(), dtype=names[tensor.Type()], shape=shape)
            (constants if model.Buffers(tensor.Buffer()).DataLength() else others).append(described)
    return constants, others


LEVELS: Final = {"int2": 1, "int4": 7, "int8": 127}
"""Largest weight, by quantization; the smallest is its negative."""
FEW: Final = LEVELS["int4"]
ROUNDED: Final = 0.51
"""How far a multiple may be from its integer: half, and the error of float32."""
FLOAT_NOISE: Final = 1e-4
"""Noise of a weight in float32, as a share of the largest of its output."""
_OPERATORS: Final = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"})


class _Layer(NamedTuple):
    """One layer with weights of few levels."""

    weights: int
    """Index of the tensor."""
    bias: int | None
    levels: npt.NDArray[np.int8]
    """The weights, in the shape of their tensor."""
    factors: npt.NDArray[np.float64]
    """Factor by which the scale of each output grows, [outputs]."""


def with_trained_levels(data: bytes) -> bytes:
    """Return a full-int8 TFLite file with the integers that it was trained with, or unchanged if those are too many."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = read_graph(data)
    layers = [_layer(graph, operator) for operator in _weighted(graph)]
    if not layers or any(layer is None for layer in layers):
        return data
    found = [layer for layer in layers if layer is not None]
    if all((layer.factors == 1).all() for layer in found):
        return data
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    for layer in found:
        _change(model, layer)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def few_levels(
    weights: npt.NDArray[np.float64], tolerance: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Return weights, [outputs, inputs], as integers of -7..7 at most, and the step of each output, [outputs].

    None if no such integers are within `tolerance` of the weights.
    """
    levels, steps = np.zeros_like(weights), np.ones(len(weights))
    for output, values in enumerate(weights):
        if not (largest := float(np.abs(values).max())):
            continue
        for most in range(1, FEW + 1):
            step = largest / most
            candidate = np.rint(values / step)
            if np.abs(values - candidate * step).max() <= tolerance:
                levels[output], steps[output] = candidate, step
                break
        else:
            return None
    return levels, steps


def largest_weight(data: bytes) -> int:
    """Return the largest weight of a full-int8 TFLite file as an integer, 0 to 128."""
    graph = read_graph(data)
    kernels = [graph.tensors[operator.inputs[1]].values() for operator in _weighted(graph)]
    return max((int(np.abs(kernel.astype(np.int64)).max()) for kernel in kernels), default=0)


def trained_quantization(model: Any) -> str | None:  # noqa: ANN401 - Keras has no types
    """Return the narrowest quantization that holds a Keras model without loss; None if that is int8 or wider."""
    import keras

    most = 0
    for layer in model.layers:
        for kernel in (np.asarray(weight, np.float64) for weight in layer.get_weights() if len(weight.shape) > 1):
            axis = kernel.ndim - (2 if isinstance(layer, keras.layers.DepthwiseConv2D) else 1)
            rows = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
            largest = np.abs(rows).max(axis=1, keepdims=True)
            found = few_levels(rows / np.where(largest > 0, largest, 1), FLOAT_NOISE)
            if found is None:
                return None
            most = max(most, int(np.abs(found[0]).max()))
    return next((name for name, level in LEVELS.items() if 0 < most <= level), None)


def _weighted(graph: Graph) -> Iterator[Operator]:
    return (operator for operator in graph.operators if operator.kind in _OPERATORS)


def _layer(graph: Graph, operator: Operator) -> _Layer | None:
    """Return a layer's weights as few levels; None if they are more, or not int8 with a scale for each output."""
    weights = graph.tensors[operator.inputs[1]]
    axis = weights.channel_axis
    if weights.dtype != "int8" or not weights.constant or weights.scales.size != weights.shape[axis]:
        return None
    spread = np.moveaxis(weights.values().astype(np.float64), axis, 0).reshape(weights.scales.size, -1)
    already = np.abs(spread).max() <= FEW
    found = (spread, np.ones(len(spread))) if already else few_levels(spread, ROUNDED)
    if found is None:
        return None
    levels, factors = found
    shape = np.moveaxis(np.empty(weights.shape), axis, 0).shape
    bias = operator.inputs[2] if operator.inputs[2:3] not in {(), (-1,)} else None
    return _Layer(
        weights=operator.inputs[1],
        bias=bias,
        levels=np.ascontiguousarray(np.moveaxis(levels.reshape(shape), 0, axis).astype(np.int8)),
        factors=factors,
    )


def _change(model: Any, layer: _Layer) -> None:  # noqa: ANN401 - generated code has no types
    tensors = model.subgraphs[0].tensors
    _scale(tensors[layer.weights], layer.factors)
    _fill(model, layer.weights, layer.levels)
    if layer.bias is None:
        return
    tensor = tensors[layer.bias]
    values = np.frombuffer(np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes(), "<i4")
    _scale(tensor, layer.factors)
    _fill(model, layer.bias, np.rint(values / layer.factors).astype("<i4"))


def _scale(tensor: Any, factors: npt.NDArray[np.float64]) -> None:  # noqa: ANN401 - generated code has no types
    tensor.quantization.scale = (np.asarray(tensor.quantization.scale, np.float64) * factors).astype(np.float32)


def _fill(model: Any, index: int, values: npt.NDArray[Any]) -> None:  # noqa: ANN401 - generated code has no types
    """Give a tensor other values, and a buffer of its own where it shared one."""
    tensor = model.subgraphs[0].tensors[index]
    if sum(one.buffer == tensor.buffer for graph in model.subgraphs for one in graph.tensors) > 1:
        model.buffers.append(type(model.buffers[tensor.buffer])())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
