"""A full-int8 network as the engine takes it: chains of dense layers over numbers from 0 to 255.

Everything that depends on the model alone is computed here, by the functions of the NumPy reference itself: what is
left to the engine are sums of products, one rescaling each, table look-ups and the last steps of a softmax.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.runtimes.affine import activation_range, affine, bias_of, multipliers, numbers_of, weight_matrix
from edgemnist.runtimes.integer import chain, requantize, softmax_exponentials
from edgemnist.runtimes.pixels import Numbers, covered_range, quantize_pixels
from edgemnist.runtimes.tflite import Graph, Operator

Table: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [256]: what becomes of each number."""

MAX_UNITS: Final = 65_504
"""Inputs or outputs of a layer, whole blocks of 32: so many products of 255 and -128 fit an int32."""
MAX_CLASSES: Final = 256

_LEVELS = np.arange(256, dtype=np.int64)
_LEAST_TERM = 2**11
"""Exponentials below this are 0 in Q12.19, and so is their share of any sum in steps of 1/256."""
_INT64 = 2**63 - 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense:
    """One dense layer and what follows it. All 8-bit numbers are distances from the lowest of their type."""

    name: str
    """Of its weights, in the file."""
    weights: npt.NDArray[np.int8]
    """[outputs, inputs]"""
    bias: npt.NDArray[np.int64]
    """[outputs], the zero point of the inputs folded in: w · (u - z) + b = w · u + (b - z · Σw)."""
    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.uint8]
    """[outputs]: sums are rescaled to (sum * multiplier + 2^(shift - 1)) >> shift."""
    zero_point: int
    low: int
    high: int
    """Of the outputs, with the activation that is fused."""
    map: Table | None = None
    """Applied to each output: ReLU, or another scale."""
    exponentials: npt.NDArray[np.int32] | None = None
    """Of the softmax over the outputs, by distance from their maximum, as far as they add anything; Q0.31."""
    softmax_map: Table | None = None
    """Applied after the softmax."""

    @functools.cached_property
    def wide(self) -> bool:
        """Whether a sum with its bias may leave int32."""
        low, high = self.extremes()
        return int(low.min()) < -(2**31) or int(high.max()) >= 2**31

    def extremes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the least and the greatest sum of each output, whatever the inputs, int64 [outputs] each."""
        # Without a copy of the weights in 64 bits, which takes more memory than all else.
        least = self.bias + 255 * np.minimum(self.weights, 0).sum(axis=1, dtype=np.int64)
        greatest = self.bias + 255 * np.maximum(self.weights, 0).sum(axis=1, dtype=np.int64)
        return least, greatest


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """A classifier of 28×28 images."""

    pixel_map: Table | None
    """Input number of each pixel value; None where they are the same."""
    layers: tuple[Dense, ...]
    output: Numbers
    """What the numbers of the last layer stand for."""

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.layers[-1].weights)

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
    width = IMAGE_SIDE**2
    for operator in chain(graph):
        if operator.kind == "FULLY_CONNECTED":
            building.layers.append(_dense(graph, operator, width))
            width = len(building.layers[-1].weights)
        elif operator.kind == "SOFTMAX":
            building.add_softmax(_exponentials(graph, operator), width)
        else:
            building.add_map(_elementwise(graph, operator))
    if not building.layers:
        raise ValueError("it has no FULLY_CONNECTED")
    if not 2 <= width <= MAX_CLASSES:  # noqa: PLR2004 - less is no classifier
        raise ValueError(f"it has {width} classes, and 2 to {MAX_CLASSES} are possible")
    for layer in building.layers:
        _check(layer)
    return Network(pixel_map=_or_none(building.pixel_map), layers=tuple(building.layers), output=output)


def pack(layer: Dense, *, group: int, block: int, unsigned: bool = False) -> npt.NDArray[np.int8]:
    """Return the weights as [block of outputs][group of inputs][output in the block][input in the group], flat.

    Both sides are padded to whole blocks and groups with weights of 0. `unsigned` gives w + 128 as uint8, viewed as
    int8.
    """
    outputs, inputs = layer.weights.shape
    blocks, groups = -(-outputs // block), -(-inputs // group)
    padded = np.zeros((blocks * block, groups * group), dtype=np.int8)
    padded[:outputs, :inputs] = layer.weights
    if unsigned:
        padded ^= np.int8(-128)
    return np.ascontiguousarray(padded.reshape(blocks, block, groups, group).transpose(0, 2, 1, 3)).reshape(-1)


@dataclass
class _Building:
    """A network of which some operators have been read."""

    pixel_map: npt.NDArray[np.int64]
    layers: list[Dense] = field(default_factory=list)

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

    def add_softmax(self, exponentials: npt.NDArray[np.int32], width: int) -> None:
        """Let the last layer's outputs become a softmax."""
        if not self.layers or self.layers[-1].exponentials is not None:
            raise ValueError("its SOFTMAX follows no FULLY_CONNECTED")
        if width > MAX_CLASSES:
            raise ValueError(f"its SOFTMAX has {width} inputs, and up to {MAX_CLASSES} are possible")
        self.layers[-1] = replace(self.layers[-1], exponentials=exponentials)


def _dense(graph: Graph, operator: Operator, width: int) -> Dense:
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    target = graph.tensors[operator.outputs[0]]
    matrix = weight_matrix(weights)
    outputs, inputs = matrix.shape
    if inputs != width:
        raise ValueError(f"its layer {weights.name!r} has {inputs} inputs, and there are {width}")
    if not 1 <= outputs <= MAX_UNITS:
        raise ValueError(f"its layer {weights.name!r} has {outputs:,} units, and up to {MAX_UNITS:,} are possible")
    bias = bias_of(graph, operator, outputs)
    low, high = activation_range(target, operator.activation)
    mantissa, exponent = multipliers(source, weights, target)
    source_lowest, lowest = _lowest(numbers_of(source)), _lowest(numbers_of(target))
    return Dense(
        name=weights.name,
        weights=matrix,
        bias=bias - (affine(source)[1] - source_lowest) * matrix.sum(axis=1, dtype=np.int64),
        multiplier=np.broadcast_to(mantissa, outputs).astype(np.int32),
        shift=np.broadcast_to(31 - exponent, outputs).astype(np.uint8),
        zero_point=affine(target)[1] - lowest,
        low=low - lowest,
        high=high - lowest,
    )


def _exponentials(graph: Graph, operator: Operator) -> npt.NDArray[np.int32]:
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    beta = 1.0 if operator.options is None else float(operator.options.scalar(0, "f"))
    found = softmax_exponentials(source, target, beta)
    # The distance 0 is in any row.
    kept = 1 + int(np.flatnonzero(found >= _LEAST_TERM).max())
    return found[:kept].astype(np.int32)


def _elementwise(graph: Graph, operator: Operator) -> npt.NDArray[np.int64]:
    """Return what a RELU or a QUANTIZE makes of each number, int64 [256]."""
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    run = requantize(source, target, relu=operator.kind == "RELU")
    return run(_LEVELS + _lowest(numbers_of(source))) - _lowest(numbers_of(target))


def _check(layer: Dense) -> None:
    """Raise ValueError where a product may leave int64."""
    least, greatest = layer.extremes()
    largest = max(-int(least.min()), int(greatest.max()))
    if largest * int(layer.multiplier.max()) + 2 ** (int(layer.shift.max()) - 1) > _INT64:
        raise ValueError(f"the sums of its layer {layer.name!r} reach {largest:,}, which is beyond 64-bit products")


def _lowest(numbers: Numbers) -> int:
    return int(np.iinfo(numbers.dtype).min)


def _table(found: Table | None) -> npt.NDArray[np.int64]:
    return _LEVELS if found is None else found.astype(np.int64)


def _or_none(table: npt.NDArray[np.int64]) -> Table | None:
    """Return a table as uint8, or None for one that changes nothing."""
    return None if np.array_equal(table, _LEVELS) else table.astype(np.uint8)
