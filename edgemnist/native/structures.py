"""The engine's structures in memory, see `engine.h` and `library.c`."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgemnist.native.layout import lay_out
from edgemnist.native.network import Network, WeightForm

ALIGNMENT: Final = 64
"""Bytes, a cache line: of weights and of scratch memory."""


class Kernel(ctypes.Structure):
    """`edgemnist_kernel`."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("group", ctypes.c_uint8),
        ("weights", ctypes.c_uint8),
        ("squares", ctypes.c_uint8),
        ("small_block", ctypes.c_uint16),
        ("block", ctypes.c_uint16),
        ("scratch_bytes", ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)),
        ("run", ctypes.c_void_p),
        ("run_batch", ctypes.c_void_p),
    ]


class Layer(ctypes.Structure):
    """`edgemnist_layer`."""

    _fields_: ClassVar = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "wide_bias", "multiplier", "shift")),
        *((name, ctypes.c_void_p) for name in ("map", "exponentials", "softmax_map")),
        *((name, ctypes.c_uint16) for name in ("exponential_count", "inputs", "outputs", "block", "blocks")),
        *((name, ctypes.c_uint8) for name in ("zero_point", "low", "high", "rounds_twice", "weight_bits")),
        ("place", ctypes.c_uint32),
    ]


class Window(ctypes.Structure):
    """`edgemnist_window`."""

    _fields_: ClassVar = [
        ("row_bytes", ctypes.c_uint32),
        *((name, ctypes.c_uint16) for name in ("kept", "height", "width", "channels", "out_height", "out_width")),
        *((name, ctypes.c_uint8) for name in ("kernel_height", "kernel_width", "stride_height", "stride_width")),
        *((name, ctypes.c_uint8) for name in ("top", "left", "kind", "zero")),
    ]


class Model(ctypes.Structure):
    """`edgemnist_model`."""

    _fields_: ClassVar = [
        ("pixel_map", ctypes.c_void_p),
        ("layers", ctypes.POINTER(Layer)),
        ("windows", ctypes.POINTER(Window)),
        *((name, ctypes.c_uint32) for name in ("arena_bytes", "image_place")),
        *((name, ctypes.c_uint16) for name in ("layer_count", "window_count", "most_inputs")),
        *((name, ctypes.c_uint16) for name in ("patch_bytes", "classes")),
    ]


class Call(ctypes.Structure):
    """`edgemnist_call`."""

    kept: tuple[object, ...] = ()
    """What the addresses lead to."""
    _fields_: ClassVar = [
        *((name, ctypes.c_void_p) for name in ("kernel", "model", "decoded", "images")),
        ("count", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("scores", "answers", "scratch")),
    ]


class Single(ctypes.Structure):
    """`edgemnist_single`."""

    kept: tuple[object, ...] = ()
    """What the addresses in the call lead to."""
    _fields_: ClassVar = [("call", Call), ("otherwise", ctypes.py_object)]


def aligned(size: int, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    """Return an array of zeros, [size], that begins on a cache line."""
    dtype = np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size * dtype.itemsize].view(dtype)


class PreparedModel:
    """A network in the layout of one kernel; keeps alive what the structures point to."""

    def __init__(self, network: Network, kernel: Kernel) -> None:
        self._kept: list[object] = []
        laid_out = lay_out(
            network,
            group=kernel.group,
            block=kernel.block,
            small_block=kernel.small_block,
            form=WeightForm(kernel.weights),
            squares=bool(kernel.squares),
            alignment=ALIGNMENT,
        )
        layers = (Layer * len(laid_out.layers))(
            *(
                Layer(**{name: self._address(table) for name, table in layer.tables.items()}, **layer.numbers)
                for layer in laid_out.layers
            )
        )
        windows = (Window * len(laid_out.windows))(*(Window(**window) for window in laid_out.windows))
        self.structure = Model(
            pixel_map=self._address(network.pixel_map), layers=layers, windows=windows, **laid_out.numbers
        )

    def _address(self, values: npt.NDArray[Any] | None) -> int | None:
        """Return where a copy of an array lies from now on."""
        if values is None:
            return None
        copy = aligned(values.size, values.dtype)
        copy[:] = values
        self._kept.append(copy)
        return int(copy.ctypes.data)
