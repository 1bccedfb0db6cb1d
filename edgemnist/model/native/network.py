"""A full-int8 network as the engine takes it: a chain of layers over numbers from 0 to 255.

Everything that depends on the model alone is computed here, by the functions of the NumPy reference itself: what is
left to the engine are sums of products, one rescaling each, table look-ups and the last steps of a softmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.layers import Kind, Layer, Summing, Table
from edgemnist.model.runtimes.fixedpoint import activation_range, affine, numbers_of, sums_of
from edgemnist.model.runtimes.integer import (
    MOST_PRODUCTS,
    MOST_WEIGHTS,
    WINDOWED,
    chain,
    elementwise,
    softmax_exponentials,
)
from edgemnist.model.runtimes.interface import infer_spec
from edgemnist.model.runtimes.pixels import Numbers, quantize_pixels
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor
from edgemnist.model.runtimes.windows import Window, mean_multiplier, window_of

MAX_OUTPUTS: Final = 4096
LONGEST_ROW: Final = 32
"""Of pixels, for kernels that take squares of them."""

_LEVELS = np.arange(256, dtype=np.int64)
_LEAST_TERM = 2**11
"""Exponentials below this are 0 in Q12.19, and so is their share of any sum in steps of 1/256."""
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
_POOLING: Final = {"MAX_POOL_2D": Kind.MAXIMUM, "REDUCE_MAX": Kind.MAXIMUM, "AVERAGE_POOL_2D": Kind.AVERAGE}


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """What takes one input of bytes to numbers."""

    spec: InputSpec
    """What it reads: bytes; or what becomes bytes first, each the distance from the lowest number of `held`."""
    held: Numbers
    """How its input tensor holds real numbers."""
    pixel_map: npt.NDArray[np.uint8] | None
    """Input number of each byte, [256], or [channels, 256]; None where they are the same."""
    layers: tuple[Layer, ...]
    """Those with a window, then dense ones."""
    output: Numbers
    """What the numbers of the last layer stand for."""
    answer: tuple[int, ...]
    """The shape of one answer, as the file has it."""
    guesses: tuple[str, ...] = ()
    """See `Classifier.guesses`."""

    @property
    def inputs(self) -> int:
        """How many bytes one input has."""
        return self.spec.size

    @property
    def takes_levels(self) -> bool:
        """Whether numbers become bytes before it is given them."""
        return self.spec.dtype != "uint8"

    @property
    def row(self) -> int:
        """How many pixels are side by side, where a first dense layer may take squares of 2 × 2 of them; else 0."""
        rows, row = self.spec.shape if len(self.spec.shape) == 2 else (1, 1)  # noqa: PLR2004 - rows and columns
        squares = self.layers[0].kind is Kind.DENSE and not (rows % 2 or row % 2) and row <= LONGEST_ROW
        return row if squares else 0

    @property
    def classes(self) -> int:
        """How many classes there are, or other outputs."""
        return self.layers[-1].total_outputs

    @property
    def score_scale(self) -> float:
        """What one step of a score is worth, a float32."""
        return float(np.float32(1 if self.output.scale is None else self.output.scale))

    @property
    def score_zero_point(self) -> int:
        """The zero point of the last layer's numbers, as distances from the lowest."""
        return self.output.zero_point - _lowest(self.output)

    @property
    def has_softmax(self) -> bool:
        """Whether the last layer answers with probabilities."""
        return self.layers[-1].exponentials is not None


def read_network(graph: Graph, spec: InputSpec | None = None) -> Network:
    """Return the network of a `.tflite` file; `spec` is what it reads, by default what its tensors tell.

    Raises ValueError, with a few words, for a graph that the integer reference does not take either, that is larger
    than the engine's limits, or whose biases or scales are beyond 64-bit arithmetic.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError("it has more than one input or output")
    source, target = (graph.tensors[index] for index in (*graph.inputs, *graph.outputs))
    held, output = numbers_of(source), numbers_of(target)
    guesses: tuple[str, ...] = ()
    if spec is None:
        spec, guesses = infer_spec(source.shape[1:], held)
    _check_input(source, spec)
    levels = quantize_pixels(held, spec).astype(np.int64) - _lowest(held) if spec.dtype == "uint8" else _LEVELS
    building = _Building(spec.size, levels)
    for operator in chain(graph):
        if operator.kind == "FULLY_CONNECTED":
            building.add_dense(graph, operator)
        elif operator.kind in WINDOWED:
            building.add_windowed(graph, operator)
        elif operator.kind == "SOFTMAX":
            building.add_softmax(graph, operator)
        else:
            building.add_map(elementwise(graph, operator) - _lowest(numbers_of(graph.tensors[operator.outputs[0]])))
    if not building.layers:
        raise ValueError("it has no layer with weights")
    if building.width > MAX_OUTPUTS:
        raise ValueError(f"it has {building.width:,} outputs, and up to {MAX_OUTPUTS:,} are possible")
    if (products := sum(map(_products, building.layers))) > MOST_PRODUCTS:
        raise ValueError(f"it adds up {products:,} products for one input, and up to {MOST_PRODUCTS:,} are possible")
    answer = target.shape[1:] if math.prod(target.shape[1:]) == building.width else (building.width,)
    return Network(
        spec=spec,
        held=held,
        pixel_map=_or_none(building.pixel_map),
        layers=tuple(building.layers),
        output=output,
        answer=answer,
        guesses=guesses,
    )


def _check_input(source: Tensor, spec: InputSpec) -> None:
    if spec.axes(source.shape[1:]) is not None:
        raise ValueError(f"its input is an array of {list(source.shape)}, with the channels first")
    if source.shape[0] not in {1, -1}:
        raise ValueError(f"it takes {source.shape[0]} inputs at a time")


def _products(layer: Layer) -> int:
    """Return how many numbers a layer multiplies or compares for one input."""
    if layer.window is None:
        return 0 if layer.matrix is None else layer.matrix.size
    covered = layer.window.kernel_height * layer.window.kernel_width
    return layer.total_outputs * (covered if layer.matrix is None else layer.matrix.shape[1])


class _Range(TypedDict):
    """Fields of any layer."""

    zero_point: int
    low: int
    high: int


@dataclass
class _Building:
    """A network of which some operators have been read."""

    inputs: int
    pixel_map: npt.NDArray[np.int64]
    layers: list[Layer] = field(default_factory=list)
    image: tuple[int, int, int] | None = None
    """What the last layer made, [height, width, channels]; None if it is no image."""

    @property
    def width(self) -> int:
        """How many numbers there are by now."""
        return self.layers[-1].total_outputs if self.layers else self.inputs

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
        if self.width != self.layers[-1].outputs:
            raise ValueError("its SOFTMAX is over several places of an image")
        self.layers[-1] = replace(self.layers[-1], exponentials=_exponentials(graph, operator))

    def add_dense(self, graph: Graph, operator: Operator) -> None:
        """Add a dense layer. Raises ValueError where it takes more or fewer numbers than there are."""
        inputs = math.prod(graph.tensors[operator.inputs[1]].shape[1:])
        layer = _summed(graph, operator)
        if inputs != self.width:
            raise ValueError(f"its layer {layer.name!r} has {inputs} inputs, and there are {self.width}")
        _check(layer)
        self.layers.append(layer)
        self.image = None

    def add_windowed(self, graph: Graph, operator: Operator) -> None:
        """Add a layer with a window. Raises ValueError if it follows no image of its shape."""
        window = window_of(graph, operator)
        image = (window.height, window.width, window.channels)
        of_group = operator.kind == "CONV_2D" and graph.tensors[operator.inputs[1]].shape[3] < window.channels
        if of_group or window.reach != (window.kernel_height, window.kernel_width):
            raise ValueError(f"its {operator.kind} is grouped or dilated, which the engine in C does not take yet")
        if self.layers and self.image is None:
            raise ValueError(f"its {operator.kind} follows a FULLY_CONNECTED")
        if image != self.image if self.layers else math.prod(image) != self.inputs:
            raise ValueError(
                f"its {operator.kind} takes an image of {list(image)}, which the layer before does not make"
            )
        layer = _windowed(graph, operator, window)
        _check(layer)
        self.layers.append(layer)
        self.image = (window.out_height, window.out_width, layer.outputs)


def _summed(graph: Graph, operator: Operator, window: Window | None = None) -> Layer:
    """Return the layer of an operator with weights; dense without a window."""
    source, weights, target = (graph.tensors[index] for index in (*operator.inputs[:2], *operator.outputs))
    sums = sums_of(graph, operator)
    zero = sums.zero - _lowest(numbers_of(source))
    kind, bias = Kind.DENSE if window is None else Kind.CONVOLUTION, sums.bias
    matrix = sums.weights.reshape(len(sums.weights), -1)
    if window is not None and operator.kind == "DEPTHWISE_CONV_2D":
        if len(bias) == window.channels:
            kind, matrix = Kind.DEPTHWISE, sums.weights.reshape(-1, window.channels)
        elif (size := sums.weights.size * window.channels) > MOST_WEIGHTS:
            raise ValueError(
                f"its layer {weights.name!r} needs {size:,} weights, and up to {MOST_WEIGHTS:,} are possible"
            )
        else:
            matrix = _expanded(sums.weights[0], window.channels)
    if kind is not Kind.DEPTHWISE:
        bias = bias - zero * matrix.sum(axis=1, dtype=np.int64)
    return Layer(
        kind=kind,
        name=weights.name,
        window=window,
        zero=zero,
        sums=Summing(
            weights=matrix,
            bias=bias,
            multiplier=sums.mantissa.astype(np.int32),
            shift=(31 - sums.exponent).astype(np.uint8),
            rounds_twice=window is not None,
        ),
        **_range(target, operator.activation),
    )


def _windowed(graph: Graph, operator: Operator, window: Window) -> Layer:
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    lowest = _lowest(numbers_of(source))
    if operator.kind == "MEAN":
        mantissa, exponent = mean_multiplier(source, target, window.kernel_height * window.kernel_width)
        sums = Summing(
            weights=None,
            bias=np.zeros(window.channels, dtype=np.int64),
            multiplier=np.full(window.channels, mantissa, dtype=np.int32),
            shift=np.full(window.channels, 31 - exponent, dtype=np.uint8),
            rounds_twice=True,
        )
        zero = affine(source)[1] - lowest
        return Layer(
            kind=Kind.DEPTHWISE, name=target.name, window=window, zero=zero, sums=sums, **_range(target, "none")
        )
    if operator.kind == "STRIDED_SLICE":
        return Layer(kind=Kind.CROP, name=target.name, window=window, **_range(target, "none"))
    if operator.kind in _POOLING:
        found = _range(target, operator.activation)
        return Layer(kind=_POOLING[operator.kind], name=target.name, window=window, zero=-lowest, **found)
    return _summed(graph, operator, window)


def _range(target: Tensor, activation: str) -> _Range:
    lowest = _lowest(numbers_of(target))
    low, high = activation_range(target, activation)
    return {"zero_point": affine(target)[1] - lowest, "low": low - lowest, "high": high - lowest}


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
    exponentials = softmax_exponentials(source, target, beta)
    # The distance 0 is in any row.
    kept = 1 + int(np.flatnonzero(exponentials >= _LEAST_TERM).max())
    return exponentials[:kept].astype(np.int32)


def _check(layer: Layer) -> None:
    """Raise ValueError where sums of products may leave int32, or the products that rescale them int64."""
    if layer.sums is None:
        return
    least, greatest = layer.products
    bias = layer.sums.bias
    largest = max(-int((bias + least).min()), int((bias + greatest).max()))
    # A bias that is added in 64 bits leaves the products alone in the 32 of every kernel.
    products = max(-int(least.min()), int(greatest.max()))
    if layer.wide and products > _INT32:
        raise ValueError(f"the products of its layer {layer.name!r} add up to {products:,}, which is beyond 32 bits")
    # Rounding twice takes 2^30 more.
    if largest * int(layer.sums.multiplier.max()) + 2 ** (int(layer.sums.shift.max()) - 1) + 2**30 > _INT64:
        raise ValueError(f"the sums of its layer {layer.name!r} reach {largest:,}, which is beyond 64-bit products")


def _lowest(numbers: Numbers) -> int:
    return int(np.iinfo(numbers.dtype).min)


def _table(table: Table | None) -> npt.NDArray[np.int64]:
    return _LEVELS if table is None else table.astype(np.int64)


def _or_none(table: npt.NDArray[np.int64]) -> Table | None:
    """Return a table as uint8, or None for one that changes nothing."""
    return None if np.array_equal(table, _LEVELS) else table.astype(np.uint8)
