"""The engine for web pages: WebAssembly, which comes compiled with the package, and a network as it takes it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.native.layout import Layout, lay_out
from edgemnist.native.network import Network

ENGINE: Final = Path(__file__).with_name("engine.wasm")
"""Made by `python -m edgemnist.native wasm`, always the same bytes from the same sources and compiler."""
GROUP: Final = 2
SMALL_BLOCK: Final = 16
BLOCK: Final = 32
"""As in `kernel_wasm.c`."""

_MODEL: Final = struct.Struct("<5I5H2x")
"""`edgemnist_model`, with pointers of 32 bits."""
_LAYER: Final = struct.Struct("<8I5H5BxI")
"""`edgemnist_layer`."""
_WINDOW: Final = struct.Struct("<I6H8B")
"""`edgemnist_window`."""
_ALIGNMENT: Final = 16


@dataclass(frozen=True, kw_only=True)
class About:
    """What a page says of itself, in the element `carried-about`."""

    version: str
    """Of edgemnist."""
    name: str
    """Of the artifact."""
    labels: list[str]
    scale: float
    zero_point: int
    logits: bool
    """Whether the scores are no probabilities yet."""
    model_sha256: str
    tflite_sha256: str
    """Of the TFLite file that answers the same bits."""


def describe_page(page: bytes) -> About | None:
    """Return what a page of ours says of itself, or None for another file."""
    found = re.search(rb'<script type="application/json" id="carried-about">(.*?)</script>', page)
    try:
        return msgspec.json.decode(found[1], type=About) if found else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def pack_network(network: Network) -> bytes:
    """Return a network as `edgemnist_open` takes it: structures and tables, with offsets in the place of pointers."""
    laid_out = lay_out(network, group=GROUP, block=BLOCK, small_block=SMALL_BLOCK, alignment=_ALIGNMENT)
    layers_at = _aligned(_MODEL.size)
    windows_at = layers_at + len(laid_out.layers) * _LAYER.size
    packing = _Packing(windows_at + len(laid_out.windows) * _WINDOW.size)
    pixel_map = packing.add(network.pixel_map)
    layers = b"".join(_layer(packing, layer) for layer in laid_out.layers)
    windows = b"".join(_WINDOW.pack(*window.values()) for window in laid_out.windows)
    packing.write(0, _MODEL.pack(pixel_map, layers_at, windows_at if windows else 0, *laid_out.numbers.values()))
    packing.write(layers_at, layers + windows)
    return bytes(packing.data)


class _Packing:
    """Tables behind each other, after room for what leads to them."""

    def __init__(self, room: int) -> None:
        self.data = bytearray(room)

    def add(self, table: npt.NDArray[Any] | None) -> int:
        """Add a table; return where it begins, or 0 for none."""
        if table is None:
            return 0
        self.data.extend(bytes(_aligned(len(self.data)) - len(self.data)))
        start = len(self.data)
        self.data += table.astype(table.dtype.newbyteorder("<"), copy=False).tobytes()
        return start

    def write(self, start: int, data: bytes) -> None:
        self.data[start : start + len(data)] = data


def _layer(packing: _Packing, layer: Layout) -> bytes:
    return _LAYER.pack(*(packing.add(table) for table in layer.tables.values()), *layer.numbers.values())


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def scores_scale(network: Network) -> np.float32:
    """Return what one step of a score is worth."""
    return np.float32(1 if network.output.scale is None else network.output.scale)
