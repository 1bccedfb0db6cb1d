"""Pillow's pixels where they are, without a copy: by the Arrow C data interface, which Pillow has since 11.2."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from PIL import Image


class _Array(ctypes.Structure):
    """`ArrowArray` of the Arrow C data interface."""

    _fields_: ClassVar[list[tuple[str, Any]]] = [
        *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
        *((name, ctypes.POINTER(ctypes.c_void_p)) for name in ("buffers", "children")),
        *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private_data")),
    ]


def pixels_of(image: Image.Image) -> tuple[int, object] | None:
    """Return the address of a picture's pixels, in rows without gaps, and what keeps them there.

    A pixel of mode L takes a byte, and one of RGB four. None where Pillow does not tell the address, as of a picture
    that it holds in several parts.
    """
    try:
        capsules = image.__arrow_c_array__()
    except (AttributeError, ValueError):
        return None
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    array = _Array.from_address(pointer(capsules[1], b"arrow_array"))
    if array.n_children:
        array = _Array.from_address(array.children[0])
    return int(array.buffers[1]), capsules


@contextmanager
def in_one_piece() -> Iterator[None]:
    """Let Pillow hold each picture that it makes meanwhile in one piece, whatever its size.

    Of two threads that do this at once, one may end it early for the other, or not end it: pictures are the same.
    """
    core: Any = Image.core  # type: ignore[attr-defined]  # documented for this purpose, and not in the stubs
    if not hasattr(core, "set_use_block_allocator"):
        # Pillow before 11.3.
        yield
        return
    before = core.get_use_block_allocator()
    core.set_use_block_allocator(1)
    try:
        yield
    finally:
        core.set_use_block_allocator(before)
