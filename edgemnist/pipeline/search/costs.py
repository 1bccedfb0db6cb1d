"""What a network costs before it is trained: the memory of its C file, which follows from its shape."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.amalgamation import ram_bytes
from edgemnist.model.native.layers import Kind, Layer, Summing
from edgemnist.model.native.network import Network as NativeNetwork
from edgemnist.model.runtimes.pixels import Numbers
from edgemnist.model.runtimes.windows import Window, cropping
from edgemnist.pipeline.train.network import DENSE, DEPTHWISE, KERNEL, MAXIMUM, MEAN, POINTWISE, Network, Stage

_RANGE: Final[dict[str, Any]] = {"name": "", "zero_point": 0, "low": 0, "high": 255}


def c_ram_bytes(network: Network, classes: int) -> int:
    """Return the bytes of static memory and stack that the C file of a network takes."""
    return ram_bytes(native_network(network, classes))


def native_network(network: Network, classes: int) -> NativeNetwork:
    """Return a network as the engine takes it, with weights of 0."""
    numbers = Numbers(dtype=np.dtype(np.int8), scale=1 / 256, zero_point=-128)
    return NativeNetwork(
        spec=InputSpec(shape=network.image[:2] if network.image[2:] == (1,) else network.image),
        held=numbers,
        pixel_map=None,
        layers=tuple(_layers(network, classes)),
        output=numbers,
        answer=(classes,),
    )


def _layers(network: Network, classes: int) -> Iterator[Layer]:
    rim, each, (height, width, channels) = network.rim, network.averaged, network.places
    inner = (height * each, width * each, channels)
    if rim:
        whole = (inner[0] + 2 * rim, inner[1] + 2 * rim, channels)
        yield Layer(kind=Kind.PICK, window=cropping(whole, top=rim, left=rim, below=rim, beyond=rim), **_RANGE)
    if each > 1:
        yield Layer(kind=Kind.AVERAGE, window=_window(inner, (each, each), each), **_RANGE)
    for stage in network.stages(classes):
        yield _layer(stage)


def _layer(stage: Stage) -> Layer:
    kind, channels = stage.layer.kind, stage.target.channels
    if kind in {MAXIMUM, MEAN}:
        if kind == MAXIMUM:
            window = _window(stage.source, (stage.layer.stride, stage.layer.stride), stage.layer.stride)
            return Layer(kind=Kind.MAXIMUM, window=window, **_RANGE)
        return Layer(kind=Kind.AVERAGE, window=_window(stage.source, stage.source[:2], stage.source.height), **_RANGE)
    if kind == DENSE:
        return Layer(kind=Kind.DENSE, sums=_sums(channels, (channels, stage.source.size)), **_RANGE)
    kernel = 1 if kind == POINTWISE else KERNEL
    window = _window(stage.source, (kernel, kernel), stage.layer.stride)
    if kind == DEPTHWISE:
        return Layer(kind=Kind.DEPTHWISE, window=window, sums=_sums(channels, (kernel**2, channels)), **_RANGE)
    shape = (channels, kernel**2 * stage.source.channels)
    return Layer(kind=Kind.CONVOLUTION, window=window, sums=_sums(channels, shape), **_RANGE)


def _sums(channels: int, shape: tuple[int, int]) -> Summing:
    return Summing(
        weights=np.zeros(shape, np.int8),
        bias=np.zeros(channels, np.int64),
        multiplier=np.zeros(channels, np.int32),
        shift=np.ones(channels, np.uint8),
    )


def _window(image: tuple[int, int, int], kernel: tuple[int, int], stride: int) -> Window:
    height, width, channels = image
    return Window(
        height=height,
        width=width,
        channels=channels,
        out_height=(height - kernel[0]) // stride + 1,
        out_width=(width - kernel[1]) // stride + 1,
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        stride_height=stride,
        stride_width=stride,
    )
