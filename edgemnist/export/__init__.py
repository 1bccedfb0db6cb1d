"""The formats that a Keras model can be exported to."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.registry import Entry, Package, Registry

_KERAS = Package("tensorflow", "tensorflow")


@dataclass(frozen=True, kw_only=True)
class FormatEntry(Entry):
    """An export format."""

    suffix: str
    """Ending of its files."""
    quantizations: tuple[str, ...]
    """What can be asked for, the default first."""
    by_name_only: bool = False
    """Whether it is made where its format is named alone: not every model can be expressed in it."""


FORMATS: Registry[FormatEntry] = Registry(
    "format",
    {
        "tflite": FormatEntry(
            target="edgemnist.export.tflite:TFLiteExporter",
            summary="TFLite flatbuffer, for LiteRT",
            requires=(
                _KERAS,
                Package("ai-edge-litert", "ai_edge_litert"),
                Package("ai-edge-quantizer", "ai_edge_quantizer"),
            ),
            extra="train",
            suffix=".tflite",
            quantizations=("int8", "int4", "dynamic", "float16", "float32"),
        ),
        "onnx": FormatEntry(
            target="edgemnist.export.onnx:ONNXExporter",
            summary="ONNX, for ONNX Runtime",
            requires=(
                _KERAS,
                Package("tf2onnx", "tf2onnx"),
                Package("onnx", "onnx"),
                Package("onnxruntime", "onnxruntime"),
            ),
            extra="train",
            suffix=".onnx",
            quantizations=("float32", "int8", "dynamic"),
        ),
        "c": FormatEntry(
            target="edgemnist.export.c:CExporter",
            summary="one C file with network and engine, for microcontrollers",
            requires=(
                _KERAS,
                Package("ai-edge-litert", "ai_edge_litert"),
                Package("ai-edge-quantizer", "ai_edge_quantizer"),
            ),
            extra="train",
            suffix=".c",
            quantizations=("int8",),
            by_name_only=True,
        ),
    },
)


def artifact_names() -> list[str]:
    """Return `<format>-<quantization>` of everything that can be exported."""
    return [f"{name}-{quantization}" for name, entry in FORMATS.items() for quantization in entry.quantizations]
