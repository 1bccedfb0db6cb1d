"""Reading tables out of a FlatBuffer, such as a `.tflite` file, with nothing but the standard library and NumPy.

Why not the `flatbuffers` package and generated code: the integer runtime must work where no wheel but NumPy's is to be
had, and it looks at a dozen fields. The layout is the published one
(https://flatbuffers.dev/internals/): a table starts with the signed distance back to its vtable, which has the table's
offset of each field, 0 for a field that is not there; vectors, strings and other tables are reached by an unsigned
distance forward. Everything is little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_VTABLE_HEAD = 4
"""Bytes of a vtable before the first field: its own size and the table's, two uint16."""


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
        """Return a vector of tables, empty where the field is not set."""
        start, count = self._vector(field)
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
    value: int | float = struct.unpack_from(code, data, position)[0]
    return value
