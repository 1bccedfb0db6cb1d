"""The engine's structures in memory, see `engine.h` and `library.c`."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgemnist.native.network import Dense, Network, pack

ALIGNMENT: Final = 64
"""Bytes, a cache line: of weights and of scratch memory."""


class Kernel(ctypes.Structure):
    """`edgemnist_kernel`."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("group", ctypes.c_uint8),
        ("unsigned_weights", ctypes.c_uint8),
        ("small_block", ctypes.c_uint16),
        ("block", ctypes.c_uint16),
        ("scratch_bytes", ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)),
        ("run", ctypes.c_void_p),
    ]


class Layer(ctypes.Structure):
    """`edgemnist_layer`."""

    _fields_: ClassVar = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "wide_bias", "multiplier", "shift")),
        *((name, ctypes.c_void_p) for name in ("map", "exponentials", "softmax_map")),
        *((name, ctypes.c_uint16) for name in ("exponential_count", "inputs", "outputs", "block", "blocks")),
        *((name, ctypes.c_uint8) for name in ("zero_point", "low", "high")),
    ]


class Model(ctypes.Structure):
    """`edgemnist_model`."""

    _fields_: ClassVar = [
        ("pixel_map", ctypes.c_void_p),
        ("layers", ctypes.POINTER(Layer)),
        ("layer_count", ctypes.c_uint16),
        ("most_inputs", ctypes.c_uint16),
        ("most_outputs", ctypes.c_uint16),
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
    _fields_: ClassVar = [("call", Call), ("copy", ctypes.py_object), ("otherwise", ctypes.py_object)]


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
        layers = (Layer * len(network.layers))(*(self._layer(one, kernel) for one in network.layers))
        self.structure = Model(
            pixel_map=self._address(network.pixel_map),
            layers=layers,
            layer_count=len(layers),
            most_inputs=max(layer.inputs for layer in layers),
            most_outputs=max(layer.blocks * layer.block for layer in layers),
        )

    def _layer(self, layer: Dense, kernel: Kernel) -> Layer:
        outputs, inputs = layer.weights.shape
        block = kernel.small_block if outputs <= kernel.small_block else kernel.block
        room = -(-outputs // block) * block

        def padded(values: npt.NDArray[Any], fill: int = 0) -> int | None:
            whole = np.full(room, fill, dtype=values.dtype)
            whole[:outputs] = values
            return self._address(whole)

        wide, bias = layer.wide, layer.bias
        return Layer(
            weights=self._address(pack(layer, group=kernel.group, block=block, unsigned=bool(kernel.unsigned_weights))),
            bias=padded((np.zeros_like(bias) if wide else bias).astype(np.int32)),
            wide_bias=padded(bias) if wide else None,
            multiplier=padded(layer.multiplier),
            shift=padded(layer.shift, fill=1),
            map=self._address(layer.map),
            exponentials=self._address(layer.exponentials),
            softmax_map=self._address(layer.softmax_map),
            exponential_count=0 if layer.exponentials is None else len(layer.exponentials),
            inputs=inputs,
            outputs=outputs,
            block=block,
            blocks=room // block,
            zero_point=layer.zero_point,
            low=layer.low,
            high=layer.high,
        )

    def _address(self, values: npt.NDArray[Any] | None) -> int | None:
        """Return where a copy of an array lies from now on."""
        if values is None:
            return None
        copy = aligned(values.size, values.dtype)
        copy[:] = values
        self._kept.append(copy)
        return int(copy.ctypes.data)
