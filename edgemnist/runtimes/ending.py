"""What a model file's scores come from, as far as the file says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgemnist.runtimes.files import ONNX, TFLITE, identify
from edgemnist.runtimes.tflite import read_graph

_PASS_ON: Final = frozenset({"cast", "dequantize", "dequantizelinear", "flatten", "identity", "quantize",
                             "quantizelinear", "reshape", "squeeze"})  # fmt: skip
"""Operations that change how scores are written, and not what they say."""
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5
"""Wire types of a protocol buffer, by its specification."""


def last_operation(model: bytes) -> str:
    """Return the operation that a TFLite or ONNX file's scores come from, in lower case, or "" where none is found.

    What only converts or reshapes them is passed over.
    """
    try:
        steps, name = {TFLITE: _tflite, ONNX: _onnx}[identify(model[:64]) or ""](model)
    except (KeyError, IndexError, StopIteration, ValueError):
        return ""
    for _ in steps:
        kind, name = steps.get(name, ("", b""))
        if kind not in _PASS_ON:
            return kind
    return ""


def _tflite(model: bytes) -> tuple[dict[object, tuple[str, object]], object]:
    """Return operation and first input by output, and the model's output."""
    graph = read_graph(model)
    return {one.outputs[0]: (one.kind.lower(), one.inputs[0]) for one in graph.operators}, graph.outputs[0]


def _onnx(model: bytes) -> tuple[dict[object, tuple[str, object]], object]:
    steps: dict[object, tuple[str, object]] = {}
    # ModelProto: graph 7; GraphProto: node 1, output 12; NodeProto: input 1, output 2, op_type 4; ValueInfo: name 1
    graph = next(content for field, content in _fields(model) if field == 7)  # noqa: PLR2004
    for field, content in _fields(graph):
        if field == 1:
            node = dict(reversed(list(_fields(content))))
            steps[node[2]] = (node[4].decode().lower(), node.get(1, b""))
    output = next(content for field, content in _fields(graph) if field == 12)  # noqa: PLR2004
    return steps, dict(_fields(output))[1]


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each field of a protocol buffer that has a content of its own."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        size = {_VARINT: 0, _EIGHT: 8, _TEXT: 0, _FOUR: 4}[key & 7]
        if key & 7 in {_VARINT, _TEXT}:
            number, at = _varint(data, at)
            size = number if key & 7 == _TEXT else 0
        if key & 7 == _TEXT:
            yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the top bit says that more follows
            return value, at
