"""How much of a microcontroller's memory a network takes as a C file, before it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.native.amalgamation import static_bytes
from edgemnist.native.layers import Convolution, Crop, Dense, Depthwise, Layer, Pool
from edgemnist.native.network import Network as NativeNetwork
from edgemnist.runtimes.pixels import Numbers
from edgemnist.runtimes.windows import Window, cropping
from edgemnist.train.network import DENSE, DEPTHWISE, KERNEL, MAXIMUM, MEAN, POINTWISE, Network, Stage

_RANGE: Final[dict[str, Any]] = {"name": "", "zero_point": 0, "low": 0, "high": 255}


def c_ram_bytes(network: Network, classes: int) -> int:
    """Return the bytes of static memory that the C file of a network takes."""
    return static_bytes(native_network(network, classes))


def native_network(network: Network, classes: int) -> NativeNetwork:
    """Return a network as the engine takes it, with weights of 0."""
    output = Numbers(dtype=np.dtype(np.int8), scale=1 / 256, zero_point=-128)
    return NativeNetwork(pixel_map=None, layers=tuple(_layers(network, classes)), output=output)


def _layers(network: Network, classes: int) -> Iterator[Layer]:
    side = IMAGE_SIDE
    if network.rim:
        window = cropping((side, side, 1), top=network.rim, left=network.rim, below=network.rim, beyond=network.rim)
        yield Crop(window=window, **_RANGE)
        side -= 2 * network.rim
    if network.averaged > 1:
        window = _window((side, side, 1), network.averaged, network.averaged)
        yield Pool(window=window, average=True, zero=0, **_RANGE)
    for stage in network.stages(classes):
        yield _layer(stage)


def _layer(stage: Stage) -> Layer:
    kind, channels = stage.layer.kind, stage.target.channels
    if kind in {MAXIMUM, MEAN}:
        side = stage.layer.stride if kind == MAXIMUM else stage.source.height
        return Pool(window=_window(stage.source, side, side), average=kind == MEAN, zero=0, **_RANGE)
    sums: dict[str, Any] = {
        "bias": np.zeros(channels, np.int64),
        "multiplier": np.zeros(channels, np.int32),
        "shift": np.ones(channels, np.uint8),
    }
    if kind == DENSE:
        return Dense(weights=np.zeros((channels, stage.source.size), np.int8), **sums, **_RANGE)
    kernel = 1 if kind == POINTWISE else KERNEL
    window = _window(stage.source, kernel, stage.layer.stride)
    if kind == DEPTHWISE:
        return Depthwise(window=window, zero=0, weights=np.zeros((kernel**2, channels), np.int8), **sums, **_RANGE)
    weights = np.zeros((channels, kernel**2 * stage.source.channels), np.int8)
    return Convolution(window=window, zero=0, weights=weights, **sums, **_RANGE)


def _window(image: tuple[int, int, int], kernel: int, stride: int) -> Window:
    height, width, channels = image
    return Window(
        height=height,
        width=width,
        channels=channels,
        out_height=(height - kernel) // stride + 1,
        out_width=(width - kernel) // stride + 1,
        kernel_height=kernel,
        kernel_width=kernel,
        stride_height=stride,
        stride_width=stride,
    )
