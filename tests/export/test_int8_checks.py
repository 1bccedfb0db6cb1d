"""A file that was asked for in int8 is int8 from its input to its output, constants included."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import reference_directory
from edgemnist.model.task import default_input
from edgemnist.pipeline.export.tflite import TFLiteExporter

INT8 = (reference_directory() / "tflite-int8.tflite").read_bytes()


@pytest.fixture
def exporter() -> TFLiteExporter:
    source: Any = SimpleNamespace(path=Path("model.keras"), numbers=False, spec=default_input())
    return TFLiteExporter(source, [str(digit) for digit in range(10)], np.zeros((1, 28, 28), np.uint8))


def with_float(*, output: bool) -> bytes:
    """Return the reference with a tensor in float32: a constant more, or its scores, as a converter has them."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(INT8, 0))
    graph = model.subgraphs[0]
    added = schema.TensorT()
    added.name, added.type, added.shape = "added", schema.TensorType.FLOAT32, [1, 10] if output else [1]
    graph.tensors.append(added)
    if output:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, list(graph.outputs)
        operator.outputs = graph.outputs = [len(graph.tensors) - 1]
        graph.operators.append(operator)
    else:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.float32(0.5).tobytes(), np.uint8)
        model.buffers.append(buffer)
        added.buffer = len(model.buffers) - 1
    model.signatureDefs = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_an_output_or_a_constant_of_real_numbers_is_no_int8(exporter: TFLiteExporter) -> None:
    with pytest.raises(ArtifactError, match="its output is float32 instead of int8"):
        exporter.inspect(with_float(output=True), "int8")
    assert exporter.departures(with_float(output=False), "int8") == ["its tensor 'added' is float32"]
    with pytest.raises(ArtifactError, match="'added' is float32"):
        exporter.inspect(with_float(output=False), "int8")
