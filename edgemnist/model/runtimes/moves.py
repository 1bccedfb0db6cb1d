"""Operators of the NumPy reference that only move numbers: padding, slices, the nearest, other orders, and joining."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes.fixedpoint import Quantized, affine
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor

MOVING: Final = ("PAD", "PADV2", "STRIDED_SLICE", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE")
"""What a `Selection` does."""

_MOST_PLACES: Final = 1 << 20
"""Of one axis, and of all that a TRANSPOSE moves, so that a small file takes little memory."""
_IMAGE_DIMENSIONS: Final = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """Which number of an array, [N, *shape], each place of another one takes, axis by axis."""

    shape: tuple[int, ...]
    places: tuple[npt.NDArray[np.int64], ...]
    """Of each axis of `shape`, which index is taken for each of the result; -1 for `fill`. Beyond the end of an axis
    lies the next row, or column."""
    fill: int

    def take(self, values: Quantized) -> Quantized:
        """Return what is taken of values, [N, ...]; one index for each of `places` follows the first."""
        size = math.prod(self.shape)
        steps = [math.prod(self.shape[axis:]) for axis in range(1, len(self.shape) + 1)]
        axes = [np.where(axis < 0, -size, axis * step) for axis, step in zip(self.places, steps, strict=True)]
        flat = np.pad(values.reshape(-1, size), ((0, 0), (0, 1)), constant_values=self.fill)
        return flat[:, np.maximum(functools.reduce(np.add.outer, axes), -1)]


def selection_of(graph: Graph, operator: Operator) -> Selection:
    """Return what an operator in `MOVING` takes.

    Raises ValueError where it would rescale, moves whole inputs, is told by what is not constant, or does not lead to
    the output's shape.
    """
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    check_same_scale(operator, source, target)
    if max(target.shape, default=0) > _MOST_PLACES:
        raise ValueError(f"its {operator.kind} leads to an array of {list(target.shape)}")
    if operator.kind == "TRANSPOSE":
        return _transposed(graph, operator)
    fill, sizes = affine(target)[1], source.shape[1:]
    taken: Sequence[Sequence[int]]
    if operator.kind == "STRIDED_SLICE":
        taken = _sliced(graph, operator)
    elif operator.kind == "RESIZE_NEAREST_NEIGHBOR":
        taken = _resized(graph, operator)
    else:
        pads = constant_integers(graph, operator, 1, 2 * len(source.shape))
        if pads[:2] != [0, 0] or min(pads) < 0:
            raise ValueError(f"its {operator.kind} is of whole inputs, or of fewer than 0 places")
        taken = [range(-low, size + high) for size, low, high in zip(sizes, pads[2::2], pads[3::2], strict=True)]
        if operator.kind == "PADV2":
            fill = _fill(operator, graph.tensors[operator.inputs[2]], target)
    if math.prod(map(len, taken)) != math.prod(target.shape[1:]):
        raise ValueError(f"its {operator.kind} leads to an array of {list(target.shape)}")
    indices = [np.asarray(axis, np.int64) for axis in taken]
    places = [np.where((axis >= 0) & (axis < size), axis, -1) for axis, size in zip(indices, sizes, strict=True)]
    return Selection(shape=sizes, places=tuple(places), fill=fill)


def check_same_scale(operator: Operator, source: Tensor, target: Tensor) -> None:
    """Raise ValueError where an operator would have to rescale."""
    if (source.dtype, affine(source)) != (target.dtype, affine(target)):
        raise ValueError(f"the output of its {operator.kind} has another scale than the input")


def constant_integers(graph: Graph, operator: Operator, at: int, count: int | None = None) -> list[int]:
    """Return the constant int32 or int64 numbers of an input. Raises ValueError for any other, or another count."""
    tensor = graph.tensors[operator.inputs[at]]
    if tensor.dtype not in {"int32", "int64"} or not tensor.constant or count not in {None, tensor.values().size}:
        raise ValueError(f"its {operator.kind} has no constant places")
    return [int(value) for value in tensor.values().reshape(-1)]


def _fill(operator: Operator, number: Tensor, target: Tensor) -> int:
    check_same_scale(operator, number, target)
    if not number.constant or number.values().size != 1:
        raise ValueError(f"its {operator.kind} is with more than a single number")
    return int(number.values().reshape(-1)[0])


def _sliced(graph: Graph, operator: Operator) -> list[range]:
    shape = graph.tensors[operator.inputs[0]].shape
    begins, ends, steps = (constant_integers(graph, operator, at, len(shape)) for at in (1, 2, 3))
    # begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask, offset
    fields = [0] * 6 if operator.options is None else [operator.options.integer(at, "iiiiib"[at]) for at in range(6)]
    if fields[2] or fields[3] or fields[5] or 0 in steps:
        raise ValueError("its STRIDED_SLICE adds axes, or has steps of 0")
    taken = []
    for axis, (size, begin, end, step) in enumerate(zip((1, *shape[1:]), begins, ends, steps, strict=True)):
        if fields[4] >> axis & 1:
            # A single one, whatever the end.
            taken.append(range(size)[begin : begin + 1 or None])
        else:
            masked = (None if fields[0] >> axis & 1 else begin, None if fields[1] >> axis & 1 else end)
            taken.append(range(size)[slice(*masked, step)])
    if len(taken[0]) != 1 or not all(taken):
        raise ValueError("its STRIDED_SLICE takes nothing, or not all inputs")
    return taken[1:]


def _resized(graph: Graph, operator: Operator) -> list[Sequence[int]]:
    """Return which rows and columns are nearest, computed in float32 as `resize_nearest_neighbor.h` does."""
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    sizes = constant_integers(graph, operator, 1, 2)
    if len(source.shape) != _IMAGE_DIMENSIONS or list(target.shape[1:3]) != sizes or min(sizes) < 1:
        raise ValueError(f"its {operator.kind} leads to an array of {list(target.shape)}")
    corners, centers = (operator.options is not None and operator.options.integer(at, "b") for at in range(2))
    taken: list[Sequence[int]] = []
    for size, places in zip(source.shape[1:3], sizes, strict=True):
        between = (size - 1, places - 1) if corners and places > 1 else (size, places)
        scale = np.float32(between[0]) / np.float32(between[1])
        nearest = (np.arange(places, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
        # Halves up, where they are rounded at all.
        indices = np.floor(nearest.astype(np.float64) + (0.5 if corners else 0)).astype(np.int64)
        taken.append(np.minimum(indices, size - 1).tolist())
    return [*taken, range(source.shape[3])]


def _transposed(graph: Graph, operator: Operator) -> Selection:
    (_, *sizes), (_, *made) = (graph.tensors[index].shape for index in (operator.inputs[0], *operator.outputs))
    order, size = constant_integers(graph, operator, 1, len(sizes) + 1), math.prod(sizes)
    if sorted(order) != list(range(len(order))) or any((1, *sizes)[axis] > 1 for axis in order[: order.index(0)]):
        raise ValueError("its TRANSPOSE moves whole inputs")
    if not 0 < size <= _MOST_PLACES or [(1, *sizes)[axis] for axis in order[1:]] != made:
        raise ValueError(f"its TRANSPOSE leads to an array of {[1, *made]}")
    taken = np.arange(size).reshape(1, *sizes).transpose(order).reshape(-1, *(1, *made)[-2:])
    # Steps of any axis are multiples of those of a shorter one, so any place is a sum of one of each.
    rows, columns, channels = taken[:, 0, 0], taken[0, :, 0], taken[0, 0]
    row = int(np.gcd.reduce(rows)) or size
    column = math.gcd(row, *columns.tolist())
    places = (rows // row, columns // column, channels)
    return Selection(shape=(size // row, row // column, column), places=places, fill=0)


def joined_axis(graph: Graph, operator: Operator) -> int:
    """Return along which axis a CONCATENATION joins arrays, [N, ...] each; 1 is the first of an input.

    Raises ValueError where that is none, where it would rescale, or where their shapes do not lead to the output's.
    """
    sources, target = [graph.tensors[index] for index in operator.inputs], graph.tensors[operator.outputs[0]]
    rank = len(target.shape)
    axis = 0 if operator.options is None else operator.options.integer(0)
    axis += rank * (axis < 0)
    if not 0 < axis < rank or (operator.options is not None and operator.options.integer(1, "b")):
        raise ValueError("its CONCATENATION is of whole inputs, or has an activation")
    for source in sources:
        check_same_scale(operator, source, target)
    others = {(*one.shape[1:axis], None, *one.shape[axis + 1 :]) for one in (*sources, target)}
    if len(others) > 1 or sum(source.shape[axis] for source in sources) != target.shape[axis]:
        raise ValueError(f"its CONCATENATION leads to an array of {list(target.shape)}")
    return axis


def moved(graph: Graph, operator: Operator) -> Callable[..., Quantized]:
    """Return what an operator in `MOVING`, or a CONCATENATION, does to the values of its inputs that are computed."""
    if operator.kind in MOVING:
        return selection_of(graph, operator).take
    axis = joined_axis(graph, operator)
    sources = [graph.tensors[index] for index in operator.inputs]

    def run(*values: Quantized) -> Quantized:
        given = iter(values)
        arrays = [source.values().astype(np.int64) if source.constant else next(given) for source in sources]
        parts = [
            np.broadcast_to(array.reshape(-1, *source.shape[1:]), (len(values[0]), *source.shape[1:]))
            for array, source in zip(arrays, sources, strict=True)
        ]
        return np.concatenate(parts, axis=axis)

    return run
