"""A file that was asked for in int8 is int8 from its input to its output, constants included."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgemnist.errors import ArtifactError
from edgemnist.export.tflite import TFLiteExporter
from edgemnist.exports import reference_directory

INT8 = (reference_directory() / "tflite-int8.tflite").read_bytes()


@pytest.fixture
def exporter() -> TFLiteExporter:
    source: Any = SimpleNamespace(path=Path("model.keras"))
    return TFLiteExporter(source, [str(digit) for digit in range(10)], np.zeros((1, 28, 28), np.uint8))


def with_float_output() -> bytes:
    """Return the reference with its scores made real numbers again, as a converter does without further instruction."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(INT8, 0))
    graph = model.subgraphs[0]
    scores = schema.TensorT()
    scores.name, scores.type, scores.shape = "scores", schema.TensorType.FLOAT32, [1, 10]
    graph.tensors.append(scores)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, list(graph.outputs)
    operator.outputs = graph.outputs = [len(graph.tensors) - 1]
    graph.operators.append(operator)
    return packed(model)


def with_float_constant() -> bytes:
    """Return the reference with a number more, in float32."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(INT8, 0))
    buffer, constant = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.float32(0.5).tobytes(), np.uint8)
    model.buffers.append(buffer)
    constant.name, constant.type, constant.shape = "a constant", schema.TensorType.FLOAT32, [1]
    constant.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(constant)
    return packed(model)


def packed(model: Any) -> bytes:
    model.signatureDefs = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_the_reference_is_int8_throughout(exporter: TFLiteExporter) -> None:
    assert exporter.departures(INT8, "int8") == []
    exported = exporter.inspect(INT8, "int8")
    assert (exported.input.dtype, exported.output.dtype) == ("int8", "int8")


def test_an_output_of_real_numbers_is_no_int8(exporter: TFLiteExporter) -> None:
    with pytest.raises(ArtifactError, match="its output is float32 instead of int8"):
        exporter.inspect(with_float_output(), "int8")


def test_a_constant_of_real_numbers_is_no_int8(exporter: TFLiteExporter) -> None:
    assert exporter.departures(with_float_constant(), "int8") == ["its tensor 'a constant' is float32"]
    with pytest.raises(ArtifactError, match="'a constant' is float32"):
        exporter.inspect(with_float_constant(), "int8")


@pytest.mark.parametrize("asked", ["float16", "float32", "int4"])
def test_weights_of_another_kind_than_asked_are_told_by_name(asked: str, exporter: TFLiteExporter) -> None:
    found = exporter.departures(INT8, asked)
    assert found
    assert all(sentence.endswith(f"are int8 instead of {asked}") for sentence in found)
