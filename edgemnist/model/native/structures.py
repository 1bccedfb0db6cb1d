"""The structures of `engine.h`, read from that file: what Python fills is what C reads.

The shared library, WebAssembly and C files each have them in a form of their own, all from this one description.
"""

from __future__ import annotations

import ctypes
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NUMBERS: Final = {8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32}
_CODES: Final = {8: "B", 16: "H", 32: "I"}
"""By bits of an unsigned number: its type, and its `struct` format."""
_STRUCTURE: Final = re.compile(r"typedef struct \{\n((?:(?!typedef).)*?)\} edgemnist_(\w+);", re.DOTALL)
_FIELD: Final = re.compile(r"(?:const \w+ \*(\w+)|uint(8|16|32)_t (\w+));")


@dataclass(frozen=True)
class Structure:
    """The fields of one: pointers, then unsigned numbers, each in order."""

    name: str
    pointers: tuple[str, ...]
    bits: Mapping[str, int]
    """Of each number."""

    def check(self, numbers: Mapping[str, int], owner: str) -> None:
        """Raise ValueError unless every number fits its field; `owner` says in the message whose they are."""
        if list(numbers) != list(self.bits):
            raise ValueError(f"{owner} has other numbers than edgemnist_{self.name} in engine.h")
        for name, value in numbers.items():
            most = 2 ** self.bits[name] - 1
            if not 0 <= value <= most:
                raise ValueError(f"the {name.replace('_', ' ')} of {owner} is {value:,}, and 0 to {most:,} is possible")

    def native(self) -> type[ctypes.Structure]:
        """Return the structure as this machine has it."""
        numbers = [(name, _NUMBERS[bits]) for name, bits in self.bits.items()]
        fields = [*((name, ctypes.c_void_p) for name in self.pointers), *numbers]
        return type(self.name.capitalize(), (ctypes.Structure,), {"_fields_": fields})

    def packed(self) -> struct.Struct:
        """Return the structure as 32-bit processors have it, and WebAssembly: little-endian, pointers of 4 bytes."""
        form, end = f"<{len(self.pointers)}I", 4 * len(self.pointers)
        for bits in self.bits.values():
            size = bits // 8
            form += f"{-end % size}x{_CODES[bits]}"
            end += -end % size + size
        return struct.Struct(f"{form}{-end % 4}x")


def _structures(text: str) -> Iterable[Structure]:
    for body, name in _STRUCTURE.findall(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)):
        fields = _FIELD.findall(body)
        if len(fields) == body.count(";"):
            yield Structure(
                name,
                tuple(pointer for pointer, _, _ in fields if pointer),
                {number: int(bits) for _, bits, number in fields if number},
            )


_FOUND: Final = {
    structure.name: structure for structure in _structures(Path(__file__).with_name("engine.h").read_text("utf-8"))
}
LAYER: Final = _FOUND["layer"]
WINDOW: Final = _FOUND["window"]
MODEL: Final = _FOUND["model"]
