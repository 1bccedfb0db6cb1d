"""The formats that a Keras model can be exported to, each with its exporter, its ending and its first bytes."""

from dataclasses import dataclass

from edgemnist.ground.registry import Entry, Package, Registry

_KERAS = Package("tensorflow", "tensorflow")
_TFLITE = (_KERAS, Package("ai-edge-litert", "ai_edge_litert"))


@dataclass(frozen=True, kw_only=True)
class FormatEntry(Entry):
    """An export format."""

    title: str
    """What messages call a file of it."""
    suffix: str
    """Ending of its files."""
    stem: str = ""
    """What its only file is called beside the ending; empty for the name of the artifact."""
    magic: bytes
    """Regular expression that the first bytes of every file match, and those of no other format."""
    quantizations: tuple[str, ...]
    """What can be asked for, the default first."""
    trained: tuple[str, ...] = ()
    """What can be asked for besides, of a network that was trained for it."""
    int8: bool = False
    """Whether its files compute as `tflite-int8` does, in however few bits they hold a weight."""
    by_name: bool = False
    """Whether an export makes it only where a user asks for it by name."""


FORMATS: Registry[FormatEntry] = Registry(
    "format",
    {
        "tflite": FormatEntry(
            target="edgemnist.pipeline.export.tflite:TFLiteExporter",
            summary="TFLite flatbuffer, for LiteRT",
            title="TFLite",
            requires=_TFLITE,
            extra="train",
            suffix=".tflite",
            # file_identifier in the TFLite schema
            magic=rb"(?s:....)TFL3",
            quantizations=("int8", "dynamic", "float16", "float32"),
        ),
        "onnx": FormatEntry(
            target="edgemnist.pipeline.export.onnx:ONNXExporter",
            summary="ONNX, for ONNX Runtime",
            title="ONNX",
            requires=(
                _KERAS,
                Package("tf2onnx", "tf2onnx"),
                Package("onnx", "onnx"),
                Package("onnxruntime", "onnxruntime"),
            ),
            extra="train",
            suffix=".onnx",
            # Every writer's ModelProto starts with field 1, the version of the representation: tag 0x08, then a varint.
            magic=rb"\x08[\x01-\x7f]",
            quantizations=("float32", "int8", "dynamic"),
        ),
        "c": FormatEntry(
            target="edgemnist.pipeline.export.c:CExporter",
            summary="One C file with network and engine, for microcontrollers",
            title="C",
            requires=_TFLITE,
            extra="train",
            suffix=".c",
            # The licence, which begins each file that is exported.
            magic=rb"/\* SPDX",
            quantizations=("int8",),
            trained=("int4", "int2"),
            int8=True,
            by_name=True,
        ),
        "web": FormatEntry(
            target="edgemnist.pipeline.export.web:WebExporter",
            summary="One web page with network and engine, which opens from disk",
            title="web page",
            requires=_TFLITE,
            extra="train",
            suffix=".html",
            stem="model",
            magic=rb"<!doctype html>",
            quantizations=("int8",),
            int8=True,
            by_name=True,
        ),
    },
)


def file_name(format_name: str, quantization: str, stem: str = "") -> str:
    """Return the name of an artifact's file; of a format with a stem, `stem` replaces it."""
    entry = FORMATS[format_name]
    return ((entry.stem and (stem or entry.stem)) or f"{format_name}-{quantization}") + entry.suffix


def arithmetic_of(format_name: str, quantization: str) -> str:
    """Return the quantization that an artifact computes in: what its answers and its gate go by."""
    entry = FORMATS.get(format_name)
    return "int8" if entry is not None and entry.int8 else quantization


def usual_quantizations(format_name: str) -> tuple[str, ...]:
    """Return the quantizations of a format that an export makes where none is named; none of one made by name only."""
    entry = FORMATS[format_name]
    return () if entry.by_name else entry.quantizations


def artifact_names() -> list[str]:
    """Return `<format>-<quantization>` of everything that can be exported."""
    return [
        f"{name}-{quantization}"
        for name, entry in FORMATS.items()
        for quantization in (*entry.quantizations, *entry.trained)
    ]
