"""Reading tables out of a FlatBuffer, such as a `.tflite` file, with nothing but the standard library and NumPy.

The integer runtime must work where no wheel but NumPy's is to be had, and it looks at a dozen fields. In the published
layout (https://flatbuffers.dev/internals/) a table starts with the signed distance back to its vtable, which has the
table's offset of each field, 0 for a field that is not there; vectors, strings and other tables are reached by an
unsigned distance forward. Everything is little-endian.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.model.runtimes import TFLITE, read_model

_VTABLE_HEAD = 4
"""Bytes of a vtable before the first field: its own size and the table's, two uint16."""
_MOST_TABLES = 1 << 16
"""Of one vector: a network of 300 layers has 1,000 tensors."""


@dataclass(frozen=True)
class Table:
    """One table of a FlatBuffer; fields are asked for by their number in the schema, from 0."""

    data: bytes
    position: int

    @classmethod
    def root(cls, data: bytes, identifier: bytes) -> Table:
        """Return the outermost table. Raises ValueError where `data` does not carry the file identifier."""
        if data[4:8] != identifier:
            raise ValueError(f"the file identifier {identifier.decode()} is missing")
        return cls(data, _unpack("<I", data, 0))

    def scalar(self, field: int, code: str, default: float = 0) -> int | float:
        """Return a number; `code` is its `struct` format, such as `b` for int8."""
        where = self._offset(field)
        return default if where is None else _number(f"<{code}", self.data, where)

    def integer(self, field: int, code: str = "i", default: int = 0) -> int:
        """Return an integer; `code` is its `struct` format."""
        return int(self.scalar(field, code, default))

    def table(self, field: int) -> Table | None:
        """Return another table, or None where the field is not set."""
        where = self._offset(field)
        return None if where is None else Table(self.data, where + _unpack("<I", self.data, where))

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables, empty where the field is not set. Raises ValueError for more than any file has."""
        start, count = self._vector(field)
        if count > _MOST_TABLES:
            raise ValueError(f"a vector has {count:,} tables")
        places = range(start, start + 4 * count, 4)
        return [Table(self.data, place + _unpack("<I", self.data, place)) for place in places]

    def array(self, field: int, dtype: str) -> npt.NDArray[np.generic]:
        """Return a vector of numbers as a read-only array of `dtype`, such as `<f4`; empty where it is not set."""
        start, count = self._vector(field)
        return np.frombuffer(self.data, dtype=dtype, count=count, offset=start)

    def text(self, field: int) -> str:
        """Return a string, empty where it is not set."""
        start, count = self._vector(field)
        return self.data[start : start + count].decode()

    def length(self, field: int) -> int:
        """Return the number of elements of a vector, or of bytes of a string; 0 where the field is not set."""
        return self._vector(field)[1]

    def _vector(self, field: int) -> tuple[int, int]:
        """Return where the elements of a vector start, and how many there are."""
        where = self._offset(field)
        if where is None:
            return 0, 0
        start = where + _unpack("<I", self.data, where)
        return start + 4, _unpack("<I", self.data, start)

    def _offset(self, field: int) -> int | None:
        vtable = self.position - _unpack("<i", self.data, self.position)
        entry = _VTABLE_HEAD + 2 * field
        # A file written with an older schema has a shorter vtable.
        if entry >= _unpack("<H", self.data, vtable):
            return None
        offset = _unpack("<H", self.data, vtable + entry)
        return self.position + offset if offset else None


def _unpack(code: str, data: bytes, position: int) -> int:
    return int(_number(code, data, position))


def _number(code: str, data: bytes, position: int) -> int | float:
    # struct takes a negative offset for one from the end, which would read something else without a word.
    if position < 0:
        raise ValueError("an offset points before the start of the file")
    try:
        value: int | float = struct.unpack_from(code, data, position)[0]
    except struct.error:
        raise ValueError("an offset points beyond the end of the file") from None
    return value


IDENTIFIER = b"TFL3"

TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
"""TensorType, as far as classifiers have them."""

OPERATORS: tuple[str, ...] = tuple(json.loads(Path(__file__).with_name("operators.json").read_bytes()))
"""BuiltinOperator by number."""

_SEQUENCES = ("UNIDIRECTIONAL_SEQUENCE_", "BIDIRECTIONAL_SEQUENCE_", "")
STATEFUL = {"SVDF", "VAR_HANDLE", *(f"{way}{kind}" for way in _SEQUENCES for kind in ("LSTM", "RNN"))}
"""Operators that keep what earlier inputs left."""
BRANCHING = {"CALL", "IF", "WHILE", *(name for name in OPERATORS if name.startswith("STABLEHLO_"))}
"""Operators that have graphs of their own."""

ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
"""ActivationFunctionType: what an operator does to its own output."""

ACTIVATION_FIELDS = {
    "ADD": 0,
    "MUL": 0,
    "SUB": 0,
    "FULLY_CONNECTED": 0,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "AVERAGE_POOL_2D": 5,
    "MAX_POOL_2D": 5,
}
"""Which of its options says so, by operator."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tensor:
    """One tensor: a constant, or a place that an operator writes to."""

    name: str
    dtype: str
    """NumPy's name, or `type <n>` for one that is not known here."""
    shape: tuple[int, ...]
    scales: npt.NDArray[np.float32]
    """Empty where the tensor is not quantized, one value for the whole tensor, or one a channel."""
    zero_points: npt.NDArray[np.int64]
    channel_axis: int
    """Which axis has one scale for each index, if there are several."""
    content: npt.NDArray[np.uint8]
    """The bytes of a constant; empty otherwise."""

    @property
    def constant(self) -> bool:
        """Whether the file carries the values."""
        return self.content.size > 0

    def values(self) -> npt.NDArray[np.generic]:
        """Return a constant's values as they are stored, in its shape.

        Raises ValueError where its type is not known here, or its bytes do not fill its shape.
        """
        if self.dtype not in TYPES.values():
            raise ValueError(f"the tensor {self.name!r} is of {self.dtype}, which is not known")
        return self.content.view(np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)

    def real(self) -> npt.NDArray[np.float32]:
        """Return a constant's values as real numbers: scale * (quantized - zero point)."""
        values = self.values().astype(np.float32)
        if not self.scales.size:
            return values
        along = [1] * len(self.shape)
        if self.scales.size > 1:
            along[self.channel_axis] = self.scales.size
        return self.scales.reshape(along) * (values - self.zero_points.astype(np.float32).reshape(along))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One step of the graph."""

    kind: str
    """Name in capitals, as in the schema, or its number, or a custom operator's own name."""
    inputs: tuple[int, ...]
    """Indices of tensors, -1 for one that is left out."""
    outputs: tuple[int, ...]
    options: Table | None
    """The operator's own settings, see the schema."""

    @property
    def activation(self) -> str:
        """What an operator does to its own output, see `ACTIVATIONS`; nothing if it is not in `ACTIVATION_FIELDS`."""
        field = ACTIVATION_FIELDS.get(self.kind)
        code = 0 if self.options is None or field is None else self.options.integer(field, "b")
        return ACTIVATIONS.get(code, f"activation {code}")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The one subgraph of a model."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(data: bytes) -> Graph:
    """Read the contents of a `.tflite` file. Raises ValueError, with a few words, for what is no such file."""
    try:
        model = Table.root(data, IDENTIFIER)
        # model: version, operator_codes, subgraphs, description, buffers
        named, buffers, subgraph = model.tables(1), model.tables(4), model.tables(2)[0]
        # subgraph: tensors, inputs, outputs, operators
        tensors, operators = subgraph.tables(0), subgraph.tables(3)
        scales = [found for tensor in tensors if (found := tensor.table(4)) is not None]
        # Vectors may lie in one another, or be those of many tables: a megabyte of file would be gigabytes here.
        copied = (_copied(named, 1), _copied(tensors, 0, 3), _copied(scales, 2, 3), _copied(operators, 1, 2))
        if sum(map(sum, copied)) > len(data):
            raise ValueError("its tables share what they name")
        codes = [_operator_name(code) for code in named]
        graph = Graph(
            tensors=tuple(_tensor(tensor, buffers) for tensor in tensors),
            operators=tuple(_operator(operator, codes) for operator in operators),
            inputs=_indices(subgraph, 1),
            outputs=_indices(subgraph, 2),
        )
        written = itertools.chain(graph.inputs, graph.outputs, *(operator.outputs for operator in graph.operators))
        read = itertools.chain.from_iterable(operator.inputs for operator in graph.operators)
        # -1 stands for an input that is left out. Python would take it for the last tensor anywhere else.
        if min(written, default=0) < 0 or min(read, default=0) < -1:
            raise ValueError("it refers to a tensor before the first")
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"it refers to what is not there ({error})") from error
    return graph


def state_of(data: bytes) -> str:
    """Return the operator by which answers of a `.tflite` file depend on earlier inputs, or nothing. Raises ValueError.

    Layers that distort pictures in training count how often they were asked, and pass on what they are given.
    """
    kinds = {*map(_operator_name, Table.root(data, IDENTIFIER).tables(1))}
    if kinds & STATEFUL == {"VAR_HANDLE"} and not kinds & BRANCHING:
        graph = read_graph(data)
        needed, kinds, known = {*graph.outputs}, set(), 0
        while known < (known := len(needed)):  # They may come in any order.
            for operator in reversed(graph.operators):
                if needed.intersection(operator.outputs):
                    needed.update(operator.inputs)
                    kinds.add(operator.kind)
    return min(kinds & STATEFUL, default="")


def read_graph_file(path: Path) -> Graph:
    """Read a `.tflite` file. Raises ArtifactError for one that is missing, damaged or of another format."""
    data = read_model(path, TFLITE)
    try:
        return read_graph(data)
    except (ValueError, LookupError, ArithmeticError) as error:
        raise ArtifactError(f"{path} is damaged: {error}", hint="Convert or download it again.") from error


def _copied(tables: list[Table], *fields: int) -> Iterator[int]:
    """Yield how much is copied of each table: the lengths of its strings and vectors."""
    return (table.length(field) for table in tables for field in fields)


def _tensor(table: Table, buffers: list[Table]) -> Tensor:
    # tensor: shape, type, buffer, name, quantization; quantization: min, max, scale, zero_point, details…, axis
    code = table.integer(1, "b")
    quantization = table.table(4)
    nothing = np.empty(0, dtype=np.float32)
    return Tensor(
        name=table.text(3),
        dtype=TYPES.get(code, f"type {code}"),
        shape=_indices(table, 0),
        scales=nothing if quantization is None else quantization.array(2, "<f4").astype(np.float32),
        zero_points=nothing.astype(np.int64) if quantization is None else quantization.array(3, "<i8").astype(np.int64),
        channel_axis=0 if quantization is None else quantization.integer(6),
        content=buffers[table.integer(2, "I")].array(0, "u1").astype(np.uint8, copy=False),
    )


def _operator_name(table: Table) -> str:
    # operator_code: deprecated_builtin_code, custom_code, version, builtin_code; the first was outgrown at 127
    code = max(table.integer(0, "b"), table.integer(3, "i"))
    return table.text(1) or (OPERATORS[code] if 0 <= code < len(OPERATORS) else f"number {code} of TFLite's schema")


def _operator(table: Table, codes: list[str]) -> Operator:
    # operator: opcode_index, inputs, outputs, builtin_options_type, builtin_options
    return Operator(
        kind=codes[table.integer(0, "I")], inputs=_indices(table, 1), outputs=_indices(table, 2), options=table.table(4)
    )


def _indices(table: Table, field: int) -> tuple[int, ...]:
    return tuple(int(value) for value in table.array(field, "<i4"))
