"""Reading operators and constants out of an ONNX file with nothing but the standard library.

A machine that executes ONNX files need not have the `onnx` package. The wire format is that of Protocol Buffers
(https://protobuf.dev/programming-guides/encoding/), and the numbers of the fields are those of `onnx.proto3`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

TYPES: Final = {1: "float32", 2: "uint8", 3: "int8", 10: "float16", 16: "bfloat16", 21: "uint4", 22: "int4"}
"""TensorProto.DataType, as far as weights have them."""
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
"""Wire types; the third has its length before it."""


@dataclass(frozen=True)
class Constant:
    """A tensor that the file carries."""

    dtype: str
    """NumPy's name, `bfloat16`, `int4` or `uint4`; empty for one that no weight has."""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step of the graph, or of a graph within it."""

    kind: str
    inputs: tuple[str, ...]
    """Names; empty for one that is left out."""
    outputs: tuple[str, ...]
    bits: int = 0
    """The attribute of that name; 0 without one."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All steps and constants of a model."""

    operators: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)


def read_graph(data: bytes) -> Graph:
    """Read the contents of an ONNX file. Raises ValueError for what is no such file."""
    found = Graph()
    # ModelProto: graph; GraphProto: node, initializer; AttributeProto: graph, graphs.
    todo = [part for number, part in _parts(memoryview(data)) if number == 7]  # noqa: PLR2004 - field numbers of onnx.proto
    while todo:
        for number, part in _parts(todo.pop()):
            if number == 1:
                todo += _add_node(found, part)
            elif number == 5:  # noqa: PLR2004 - of onnx.proto
                name, constant = _tensor(part)
                found.constants[name] = constant
    return found


def _add_node(graph: Graph, data: memoryview) -> list[memoryview]:
    """Add a NodeProto, and return the graphs within it."""
    names: dict[int, list[str]] = {1: [], 2: [], 4: []}
    bits, within = 0, []
    for number, part in _parts(data):
        if number in names:
            names[number].append(_text(part))
        elif number == 5:  # noqa: PLR2004 - attribute
            # AttributeProto: name, i, t, g, graphs
            attribute = list(_fields(part))
            if any(key == 1 and isinstance(value, memoryview) and bytes(value) == b"bits" for key, value in attribute):
                bits = next((value for key, value in attribute if key == 3 and isinstance(value, int)), 0)  # noqa: PLR2004 - of onnx.proto
            for key, value in attribute:
                if isinstance(value, memoryview) and key == 5:  # noqa: PLR2004 - of onnx.proto
                    graph.constants.update(dict.fromkeys(names[2], _tensor(value)[1]))
                elif isinstance(value, memoryview) and key in {6, 11}:
                    within.append(value)
    kind = (names[4] or [""])[0]
    graph.operators.append(Node(kind=kind, inputs=tuple(names[1]), outputs=tuple(names[2]), bits=bits))
    return within


def _tensor(data: memoryview) -> tuple[str, Constant]:
    """Return name and description of a TensorProto: dims, data_type, name."""
    shape: list[int] = []
    name, dtype = "", ""
    for number, value in _fields(data):
        if number == 1:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif number == 2 and isinstance(value, int):  # noqa: PLR2004 - of onnx.proto
            dtype = TYPES.get(value, "")
        elif number == 8 and isinstance(value, memoryview):  # noqa: PLR2004 - of onnx.proto
            name = _text(value)
    return name, Constant(dtype, tuple(shape))


def _parts(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields that have a length: messages, texts and bytes."""
    return ((number, value) for number, value in _fields(data) if isinstance(value, memoryview))


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message: an integer, or the bytes of what has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if tag & 7 == _BYTES:
            size, at = _varint(data, at)
        elif tag & 7 in {_EIGHT, _FOUR}:
            size = 8 if tag & 7 == _EIGHT else 4
        else:
            raise ValueError(f"a field has the wire type {tag & 7}")
        if at + size > len(data):
            raise ValueError("a field reaches beyond its message")
        if tag & 7 == _BYTES:
            yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, the lowest first, and where the next one begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number reaches beyond its message")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value, at
    raise ValueError("a number has more than ten bytes")


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _text(data: memoryview) -> str:
    return bytes(data).decode()
