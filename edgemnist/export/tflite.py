"""TFLite, which LiteRT executes."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgemnist.export.interface import Constant, Exported, Exporter, wrong_weights
from edgemnist.export.lowbit import with_trained_levels
from edgemnist.exports.manifest import TensorSpec
from edgemnist.runtimes.litert import LiteRTClassifier

_WEIGHTS: Final = {"int8": "int8", "int4": "int4", "dynamic": "int8", "float16": "float16", "float32": "float32"}
"""The dtype of the weights, by quantization."""


class TFLiteExporter(Exporter):
    """Converts with TensorFlow's converter, and to int4 with the AI Edge Quantizer."""

    format: ClassVar[str] = "tflite"

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a TFLite file; see `Exporter.convert`."""
        if quantization == "int4":
            return to_int4(self._convert(model, "float32"), list(self._representative()))
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

        LiteRTClassifier(data, Path(f"{self.format}-{quantization}"), labels=self.labels)
        interpreter = Interpreter(model_content=data)
        source, target = _spec(interpreter.get_input_details()[0]), _spec(interpreter.get_output_details()[0])
        for role, tensor in (("input", source), ("output", target)):
            self._check_tensor(quantization, role, tensor, "int8" if quantization == "int8" else "float32")
        self._check(quantization, data, _tensors(data)[0], _WEIGHTS[quantization])
        return Exported(data=data, input=source, output=target)

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
        for image in self.calibration:
            yield [self.source.pixels(image[None])]


def _spec(detail: dict[str, Any]) -> TensorSpec:
    """Return the description of an input or output by LiteRT."""
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
            buffer = model.Buffers(tensor.Buffer())
            # The quantizer writes large files with their weights behind the tables, at an offset above 1.
            (constants if buffer.DataLength() or buffer.Offset() > 1 else others).append(described)
    return constants, others


CLIPPING: Final = ("OCTAV", "MIN_MAX_UNIFORM_QUANT")
"""How the range of an output's weights may be found, as the quantizer's `AlgorithmName` has it.

OCTAV (Sakr et al., 2022) clips where the squared error of the weights is least: of a network that was trained in float
it flips 30 of 10,000 labels, and minimum and maximum flip 42. A network that was trained for 4 bits has its weights
within the range that it was trained for: minimum and maximum find that range again, and OCTAV would clip further.
"""


def to_int4(model: bytes, inputs: Sequence[Sequence[Any]]) -> bytes:
    """Return a float32 TFLite file with weights of 4 bits, each output channel with a scale of its own.

    Of the ways in `CLIPPING` it takes the one whose answers to `inputs`, float32 [1, ...] each, are closest to the
    float file's, by squared error.
    """
    wanted = _outputs(model, inputs)
    candidates = [_quantized(model, name) for name in CLIPPING]
    errors = [float(((_outputs(candidate, inputs) - wanted) ** 2).sum()) for candidate in candidates]
    return candidates[int(np.argmin(errors))]


def _quantized(model: bytes, algorithm: str) -> bytes:
    from ai_edge_quantizer import quantizer, recipe

    chosen = recipe.AlgorithmName[algorithm]
    # It prints a summary.
    with contextlib.redirect_stdout(io.StringIO()):
        result = quantizer.Quantizer(model, recipe.dynamic_wi4_afp32(algorithm_key=chosen)).quantize()
    return bytes(result.quantized_model)


def _outputs(model: bytes, inputs: Sequence[Sequence[Any]]) -> npt.NDArray[np.float32]:
    """Return the answers to some inputs, float32 [N, ...]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    answers = []
    for (values,) in inputs:
        interpreter.set_tensor(source, values)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target))
    return np.concatenate(answers)
