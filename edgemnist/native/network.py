"""A full-int8 network as the engine takes it: a chain of layers over numbers from 0 to 255.

Everything that depends on the model alone is computed here, by the functions of the NumPy reference itself: what is
left to the engine are sums of products, one rescaling each, table look-ups and the last steps of a softmax.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.native.layers import Convolution, Crop, Dense, Depthwise, Layer, Pool, Table, total_outputs
from edgemnist.runtimes.fixedpoint import activation_range, affine, bias_of, multipliers, numbers_of, weight_matrix
from edgemnist.runtimes.integer import WINDOWED, chain, elementwise, softmax_exponentials
from edgemnist.runtimes.pixels import Numbers, covered_range, quantize_pixels
from edgemnist.runtimes.tflite import Graph, Operator, Tensor

if TYPE_CHECKING:
    from edgemnist.runtimes.windows import Window

MAX_UNITS: Final = 65_504
"""Inputs or outputs of a layer, whole blocks of 32: so many products of 255 and -128 fit an int32."""
MAX_CLASSES: Final = 256

_LEVELS = np.arange(256, dtype=np.int64)
_LEAST_TERM = 2**11
"""Exponentials below this are 0 in Q12.19, and so is their share of any sum in steps of 1/256."""
_INT64 = 2**63 - 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """A classifier of 28×28 images."""

    pixel_map: Table | None
    """Input number of each pixel value; None where they are the same."""
    layers: tuple[Layer, ...]
    """Those with a window, then dense ones."""
    output: Numbers
    """What the numbers of the last layer stand for."""

    @property
    def classes(self) -> int:
        """How many there are."""
        return total_outputs(self.layers[-1])

    @property
    def score_zero_point(self) -> int:
        """The zero point of the last layer's numbers, as distances from the lowest."""
        return self.output.zero_point - _lowest(self.output)

    @property
    def has_softmax(self) -> bool:
        """Whether the last layer answers with probabilities."""
        return self.layers[-1].exponentials is not None


def read_network(graph: Graph, input_range: str | None = None) -> Network:
    """Return the network of a `.tflite` file; `input_range` is what pixels mean to it, see `quantize_pixels`.

    Raises ValueError, with a few words, for a graph that the integer reference does not take either, that is larger
    than the engine's limits, or whose biases or scales are beyond 64-bit arithmetic.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError("it has more than one input or output")
    source, target = (graph.tensors[index] for index in (*graph.inputs, *graph.outputs))
    pixels, output = numbers_of(source), numbers_of(target)
    if math.prod(size for size in source.shape if size > 0) != IMAGE_SIDE**2:
        raise ValueError(f"its input is an array of {list(source.shape)}, not one image of 28×28")
    building = _Building(
        quantize_pixels(pixels, input_range or covered_range(pixels)).astype(np.int64) - _lowest(pixels)
    )
    for operator in chain(graph):
        if operator.kind == "FULLY_CONNECTED":
            building.add(_dense(graph, operator, building.width))
        elif operator.kind in WINDOWED:
            building.add_windowed(graph, operator)
        elif operator.kind == "SOFTMAX":
            building.add_softmax(graph, operator)
        else:
            building.add_map(_elementwise(graph, operator))
    if not building.layers:
        raise ValueError("it has no layer with weights")
    width = building.width
    if not 2 <= width <= MAX_CLASSES:  # noqa: PLR2004 - less is no classifier
        raise ValueError(f"it has {width} classes, and 2 to {MAX_CLASSES} are possible")
    return Network(pixel_map=_or_none(building.pixel_map), layers=tuple(building.layers), output=output)


class WeightForm(enum.IntEnum):
    """How a kernel wants the weights of a block of outputs and a group of inputs, see `engine.h`."""

    SIGNED = 0
    """[output in the block][input in the group]"""
    UNSIGNED = 1
    """The same as uint8, w + 128."""
    PAIRED = 2
    """[pair of outputs][input in the group][output in the pair], of each pair the first as w + 128."""


def pack(
    matrix: npt.NDArray[np.int8], *, group: int, block: int, form: WeightForm = WeightForm.SIGNED
) -> npt.NDArray[np.int8]:
    """Return weights, int8 [outputs, inputs], in a kernel's order, flat.

    That is [block of outputs][group of inputs], and `form` within. Both sides are padded to whole blocks and groups
    with weights of 0. Numbers of uint8 are viewed as int8.
    """
    outputs, inputs = matrix.shape
    blocks, groups = -(-outputs // block), -(-inputs // group)
    padded = np.zeros((blocks * block, groups * group), dtype=np.int8)
    padded[:outputs, :inputs] = matrix
    if form is WeightForm.UNSIGNED:
        padded ^= np.int8(-128)
    if form is WeightForm.PAIRED:
        padded[::2] ^= np.int8(-128)
        pairs = padded.reshape(blocks, block // 2, 2, groups, group).transpose(0, 3, 1, 4, 2)
        return np.ascontiguousarray(pairs).reshape(-1)
    return np.ascontiguousarray(padded.reshape(blocks, block, groups, group).transpose(0, 2, 1, 3)).reshape(-1)


class _Sums(TypedDict):
    """Fields of a layer of sums."""

    bias: npt.NDArray[np.int64]
    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.uint8]


class _Range(TypedDict):
    """Fields of any layer."""

    zero_point: int
    low: int
    high: int


@dataclass
class _Building:
    """A network of which some operators have been read."""

    pixel_map: npt.NDArray[np.int64]
    layers: list[Layer] = field(default_factory=list)
    image: tuple[int, int, int] | None = None
    """What the last layer made, [height, width, channels]; None if it is no image."""

    @property
    def width(self) -> int:
        """How many numbers there are by now."""
        return total_outputs(self.layers[-1]) if self.layers else IMAGE_SIDE**2

    def add_map(self, table: npt.NDArray[np.int64]) -> None:
        """Let every number of the last layer become another; maps in a row become one."""
        if not self.layers:
            self.pixel_map = table[self.pixel_map]
            return
        last = self.layers[-1]
        if last.exponentials is None:
            self.layers[-1] = replace(last, map=_or_none(table[_table(last.map)]))
        else:
            self.layers[-1] = replace(last, softmax_map=_or_none(table[_table(last.softmax_map)]))

    def add_softmax(self, graph: Graph, operator: Operator) -> None:
        """Let the last layer's outputs become a softmax."""
        if not self.layers or self.layers[-1].exponentials is not None:
            raise ValueError("its SOFTMAX follows no layer with weights")
        if self.width > MAX_CLASSES:
            raise ValueError(f"its SOFTMAX has {self.width} inputs, and up to {MAX_CLASSES} are possible")
        if self.width != self.layers[-1].outputs:
            raise ValueError("its SOFTMAX is over several places of an image")
        self.layers[-1] = replace(self.layers[-1], exponentials=_exponentials(graph, operator))

    def add(self, layer: Layer) -> None:
        """Add a layer. Raises ValueError where a product may leave int64."""
        if not isinstance(layer, Pool):
            _check(layer)
        self.layers.append(layer)
        self.image = None

    def add_windowed(self, graph: Graph, operator: Operator) -> None:
        """Add a layer with a window. Raises ValueError if it follows no image of its shape."""
        from edgemnist.runtimes.windows import window_of

        window = window_of(graph, operator)
        image = (window.height, window.width, window.channels)
        if self.layers and self.image is None:
            raise ValueError(f"its {operator.kind} follows a FULLY_CONNECTED")
        if image != self.image if self.layers else math.prod(image) != IMAGE_SIDE**2:
            raise ValueError(
                f"its {operator.kind} takes an image of {list(image)}, which the layer before does not make"
            )
        layer = _windowed(graph, operator, window)
        self.add(layer)
        self.image = (window.out_height, window.out_width, layer.outputs)


def _dense(graph: Graph, operator: Operator, width: int) -> Dense:
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    target = graph.tensors[operator.outputs[0]]
    matrix = weight_matrix(weights)
    outputs, inputs = matrix.shape
    if inputs != width:
        raise ValueError(f"its layer {weights.name!r} has {inputs} inputs, and there are {width}")
    if not 1 <= outputs <= MAX_UNITS:
        raise ValueError(f"its layer {weights.name!r} has {outputs:,} units, and up to {MAX_UNITS:,} are possible")
    summing = _summing(graph, operator, outputs)
    zero = affine(source)[1] - _lowest(numbers_of(source))
    summing["bias"] = summing["bias"] - zero * matrix.sum(axis=1, dtype=np.int64)
    return Dense(name=weights.name, weights=matrix, **summing, **_range(target, operator.activation))


def _summing(graph: Graph, operator: Operator, outputs: int) -> _Sums:
    """Return bias, multiplier and shift of an operator with weights."""
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    mantissa, exponent = multipliers(source, weights, graph.tensors[operator.outputs[0]])
    return {
        "bias": bias_of(graph, operator, outputs),
        "multiplier": np.broadcast_to(mantissa, outputs).astype(np.int32),
        "shift": np.broadcast_to(31 - exponent, outputs).astype(np.uint8),
    }


def _range(target: Tensor, activation: str) -> _Range:
    """Return zero point and range of a layer's outputs."""
    lowest = _lowest(numbers_of(target))
    low, high = activation_range(target, activation)
    return {"zero_point": affine(target)[1] - lowest, "low": low - lowest, "high": high - lowest}


def _windowed(graph: Graph, operator: Operator, window: Window) -> Convolution | Depthwise | Pool:
    from edgemnist.runtimes.windows import check_same_scale, convolution_filters, depthwise_filters, mean_multiplier

    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    lowest = _lowest(numbers_of(source))
    zero = affine(source)[1] - lowest
    if operator.kind == "MEAN":
        count = window.height * window.width
        mantissa, exponent = mean_multiplier(source, target, count)
        return Depthwise(
            name=target.name,
            window=window,
            zero=zero,
            weights=None,
            bias=np.zeros(window.channels, dtype=np.int64),
            multiplier=np.full(window.channels, mantissa, dtype=np.int32),
            shift=np.full(window.channels, 31 - exponent, dtype=np.uint8),
            rounds_twice=True,
            **_range(target, "none"),
        )
    if operator.kind == "STRIDED_SLICE":
        check_same_scale(source, target, operator)
        return Crop(name=target.name, window=window, **_range(target, "none"))
    found = _range(target, operator.activation)
    if operator.kind in {"MAX_POOL_2D", "AVERAGE_POOL_2D"}:
        check_same_scale(source, target, operator)
        return Pool(name=target.name, window=window, average=operator.kind == "AVERAGE_POOL_2D", zero=-lowest, **found)
    weights = graph.tensors[operator.inputs[1]]
    if operator.kind == "CONV_2D":
        filters = convolution_filters(weights, window)
        matrix = filters.reshape(len(filters), -1)
    else:
        each = depthwise_filters(weights, window)
        if each.shape[2] == window.channels:
            summing = _summing(graph, operator, window.channels)
            taps = each.reshape(-1, window.channels)
            return Depthwise(
                name=weights.name, window=window, zero=zero, weights=taps, rounds_twice=True, **summing, **found
            )
        matrix = _expanded(each, window.channels)
    outputs, inputs = matrix.shape
    if not 1 <= outputs <= MAX_UNITS or inputs > MAX_UNITS:
        raise ValueError(
            f"its layer {weights.name!r} has {outputs:,} units of {inputs:,}, and {MAX_UNITS:,} are possible"
        )
    summing = _summing(graph, operator, outputs)
    summing["bias"] = summing["bias"] - zero * matrix.sum(axis=1, dtype=np.int64)
    return Convolution(
        name=weights.name, window=window, zero=zero, weights=matrix, rounds_twice=True, **summing, **found
    )


def _expanded(each: npt.NDArray[np.int8], channels: int) -> npt.NDArray[np.int8]:
    """Return the weights of a depthwise convolution with several outputs a channel as those of a plain one.

    From [kernel_height, kernel_width, outputs] to [outputs, kernel_height * kernel_width * channels], with weights of 0
    for all other channels.
    """
    height, width, outputs = each.shape
    filters = np.zeros((outputs, height, width, channels), dtype=np.int8)
    output = np.arange(outputs)
    filters[output, :, :, output // (outputs // channels)] = each.transpose(2, 0, 1)
    return filters.reshape(outputs, -1)


def _exponentials(graph: Graph, operator: Operator) -> npt.NDArray[np.int32]:
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    beta = 1.0 if operator.options is None else float(operator.options.scalar(0, "f"))
    found = softmax_exponentials(source, target, beta)
    # The distance 0 is in any row.
    kept = 1 + int(np.flatnonzero(found >= _LEAST_TERM).max())
    return found[:kept].astype(np.int32)


def _elementwise(graph: Graph, operator: Operator) -> npt.NDArray[np.int64]:
    """Return what an operator makes of each number, int64 [256]."""
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    run = elementwise(graph, operator)
    return run(_LEVELS + _lowest(numbers_of(source))) - _lowest(numbers_of(target))


def _check(layer: Dense | Depthwise) -> None:
    """Raise ValueError where a product may leave int64."""
    least, greatest = layer.extremes()
    largest = max(-int(least.min()), int(greatest.max()))
    # Rounding twice takes 2^30 more.
    if largest * int(layer.multiplier.max()) + 2 ** (int(layer.shift.max()) - 1) + 2**30 > _INT64:
        raise ValueError(f"the sums of its layer {layer.name!r} reach {largest:,}, which is beyond 64-bit products")


def _lowest(numbers: Numbers) -> int:
    return int(np.iinfo(numbers.dtype).min)


def _table(found: Table | None) -> npt.NDArray[np.int64]:
    return _LEVELS if found is None else found.astype(np.int64)


def _or_none(table: npt.NDArray[np.int64]) -> Table | None:
    """Return a table as uint8, or None for one that changes nothing."""
    return None if np.array_equal(table, _LEVELS) else table.astype(np.uint8)
