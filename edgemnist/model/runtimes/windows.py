"""Convolutions, pooling and means of the NumPy reference: what a window sees as it slides over an image.

Images are [N, height, width, channels]. Whatever a window covers beyond an edge adds nothing to a sum, is no candidate
for a maximum and is not counted in a mean, as in TFLite's reference kernels
(`kernels/internal/reference/integer_ops/conv.h`, `depthwise_conv.h`, `pooling.h` and `mean.h`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes import fixedpoint
from edgemnist.model.runtimes.fixedpoint import (
    Quantized,
    Rescale,
    Step,
    Sums,
    activation_range,
    affine,
    exact_matrix,
    sums_of,
)
from edgemnist.model.runtimes.moves import check_same_scale, constant_integers
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor

MAX_SIDE: Final = 32
"""Of a window, of the steps it moves by, and of those between what it covers: more than small pictures need."""

_PATCH_VALUES: Final = 2**22
"""Of the patches that are multiplied at once, if it is not a single one: 16 MB in float32."""
_SAME: Final = 0
"""Padding in TFLite's schema; 1 is VALID."""
_IMAGE_DIMENSIONS: Final = 4
CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")
REDUCING: Final = ("MEAN", "REDUCE_MAX")


@dataclass(frozen=True, kw_only=True)
class Window:
    """Where a window lies on an image."""

    height: int
    width: int
    channels: int
    """Of the image."""
    out_height: int
    out_width: int
    """How many places it has."""
    kernel_height: int
    kernel_width: int
    stride_height: int = 1
    stride_width: int = 1
    dilation_height: int = 1
    dilation_width: int = 1
    """Of how many rows and columns it covers one."""
    top: int = 0
    left: int = 0
    """How far the first place lies beyond the image's first row and column."""

    @property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns there are from the first it covers to the last."""
        return _reach(self.kernel_height, self.dilation_height), _reach(self.kernel_width, self.dilation_width)

    @property
    def padded_sides(self) -> tuple[int, int]:
        """How many rows and columns there are on an image and beyond its edges."""
        rows, columns = self.reach
        return (
            max(self.top + self.height, self.stride_height * (self.out_height - 1) + rows),
            max(self.left + self.width, self.stride_width * (self.out_width - 1) + columns),
        )

    def patches(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what each place covers, [N, out_height, out_width, kernel_height, kernel_width, channels], as a view.

        `images` are such as `padded` returns.
        """
        seen = np.lib.stride_tricks.sliding_window_view(images, self.reach, axis=(1, 2))
        places = seen[:, :: self.stride_height, :: self.stride_width][:, : self.out_height, : self.out_width]
        return places[..., :: self.dilation_height, :: self.dilation_width].transpose(0, 1, 2, 4, 5, 3)

    def taps(self, images: npt.NDArray[Any]) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yield each row and column of the window, and what it covers there, [N, out_height, out_width, channels]."""
        covered = self.patches(images)
        for row, column in np.ndindex(self.kernel_height, self.kernel_width):
            yield row, column, covered[:, :, :, row, column]

    def padded(self, images: npt.NDArray[Any], fill: int = 0) -> npt.NDArray[Any]:
        """Return images, [N, height, width, channels], with `fill` wherever the window reaches beyond their edges."""
        rows, columns = self.padded_sides
        below, beyond = rows - self.top - self.height, columns - self.left - self.width
        edges = ((0, 0), (self.top, below), (self.left, beyond), (0, 0))
        return np.pad(images, edges, constant_values=fill)

    def images(self, values: Quantized) -> Quantized:
        """Return values, [N, ...], as images."""
        return values.reshape(len(values), self.height, self.width, self.channels)


def sliding(image: Sequence[int], kernel: tuple[int, int] = (1, 1), stride: int = 1) -> Window:
    """Return the window of this height and width on an image, (height, width, channels), with no place beyond it."""
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


def cropping(image: Sequence[int], *, top: int, left: int, below: int, beyond: int) -> Window:
    """Return the window of a crop of an image, (height, width, channels), by the given rows and columns on each side.

    Each place of the window reaches `top` rows up and `left` columns back: the crop is its bottom right corner.
    """
    height, width, channels = image
    return Window(
        height=height,
        width=width,
        channels=channels,
        out_height=height - top - below,
        out_width=width - left - beyond,
        kernel_height=top + 1,
        kernel_width=left + 1,
    )


def window_of(graph: Graph, operator: Operator) -> Window:
    """Return the window of an operator in `WINDOWED`; see `_reduced` for those that slide over nothing.

    Raises ValueError where it is too large, or does not lead to the output's shape, for weights of other channels, for
    pooling that would have to rescale, and for a MEAN or REDUCE_MAX over axes that are not side by side.
    """
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    reducing = operator.kind in REDUCING
    if (len(source.shape) != _IMAGE_DIMENSIONS and not reducing) or min(source.shape[1:], default=0) < 1:
        raise ValueError(f"its {operator.kind} is of an array of {list(source.shape)}")
    if operator.kind not in {"MEAN", *CONVOLUTIONS}:
        check_same_scale(operator, source, target)
    window = (_reduced if reducing else _sliding)(graph, operator)
    outputs = channels = window.channels
    if operator.kind in CONVOLUTIONS:
        outputs = _check_filters(graph.tensors[operator.inputs[1]].shape, operator.kind, channels)
    if math.prod(target.shape[1:]) != window.out_height * window.out_width * outputs:
        raise ValueError(f"its {operator.kind} leads to an array of {list(target.shape)}")
    return window


def _check_filters(shape: Sequence[int], kind: str, channels: int) -> int:
    """Return how many outputs a convolution has. Raises ValueError if its weights are not for this many channels.

    Weights are [outputs, height, width, channels], of which each of several groups of outputs may have its own, or
    [1, height, width, outputs] with those of a channel side by side.
    """
    if kind == "CONV_2D":
        if shape[3] < 1 or channels % shape[3] or shape[0] % (channels // shape[3]):
            raise ValueError(
                f"its CONV_2D has {shape[0]} outputs and weights for {shape[3]} channels, and there are {channels}"
            )
        return shape[0]
    if shape[0] != 1 or shape[3] % channels:
        raise ValueError(f"its DEPTHWISE_CONV_2D has {shape[3]} outputs of {channels} channels")
    return shape[3]


def _reduced(graph: Graph, operator: Operator) -> Window:
    """Return the window of a MEAN or REDUCE_MAX: the whole image, or all that is reduced at each place before it."""
    shape = graph.tensors[operator.inputs[0]].shape
    given = constant_integers(graph, operator, 1)
    axes = sorted({axis + len(shape) * (axis < 0) for axis in given}) or [0]
    first, end = axes[0], axes[-1] + 1
    if axes != list(range(first, end)) or not 0 < first < end <= len(shape):
        raise ValueError(f"its {operator.kind} is over the axes {given}, and only some side by side are known")
    before, over, after = (math.prod(part) for part in (shape[1:first], shape[first:end], shape[end:]))
    rows = shape[first] if before == 1 else 1
    return Window(
        height=before * rows,
        width=over // rows,
        channels=after,
        out_height=before,
        out_width=1,
        kernel_height=rows,
        kernel_width=over // rows,
    )


def _sliding(graph: Graph, operator: Operator) -> Window:
    """Return the window of a convolution or of pooling, from the operator's options."""
    _, height, width, channels = graph.tensors[operator.inputs[0]].shape
    options = operator.options
    if options is None:
        raise ValueError(f"its {operator.kind} has no options")
    dilation_width = dilation_height = 1
    # padding, stride_w, stride_h; then of pooling filter_width, filter_height, and of a convolution the dilations last
    if operator.kind in {"MAX_POOL_2D", "AVERAGE_POOL_2D"}:
        kernel_width, kernel_height = options.integer(3), options.integer(4)
    else:
        shape = graph.tensors[operator.inputs[1]].shape
        if len(shape) != _IMAGE_DIMENSIONS:
            raise ValueError(f"the weights of its {operator.kind} are an array of {list(shape)}")
        kernel_height, kernel_width = shape[1:3]
        first = 4 if operator.kind == "CONV_2D" else 5
        dilation_width, dilation_height = (options.integer(field, "i", 1) for field in (first, first + 1))
    stride_width, stride_height = options.integer(1), options.integer(2)
    sides = (kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width)
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"the window of its {operator.kind} or its steps are not 1 to {MAX_SIDE} rows and columns")
    same = options.integer(0, "b") == _SAME
    out_height, top = _places(height, _reach(kernel_height, dilation_height), stride_height, same=same)
    out_width, left = _places(width, _reach(kernel_width, dilation_width), stride_width, same=same)
    if min(out_height, out_width) < 1:
        raise ValueError(f"the window of its {operator.kind} is larger than its image")
    return Window(
        height=height,
        width=width,
        channels=channels,
        out_height=out_height,
        out_width=out_width,
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        stride_height=stride_height,
        stride_width=stride_width,
        dilation_height=dilation_height,
        dilation_width=dilation_width,
        top=top,
        left=left,
    )


def _reach(kernel: int, dilation: int) -> int:
    return (kernel - 1) * dilation + 1


def _places(size: int, reach: int, stride: int, *, same: bool) -> tuple[int, int]:
    """Return how many places a window has along a side, and how far the first lies beyond the edge."""
    if not same:
        return (size - reach + stride) // stride, 0
    places = -(-size // stride)
    return places, max((places - 1) * stride + reach - size, 0) // 2


def windowed(graph: Graph, operator: Operator, rescale: Rescale) -> Step:
    """Return what an operator in `WINDOWED` does: values, [N, ...] → [N, out_height, out_width, channels]."""
    window = window_of(graph, operator)
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind == "MEAN":
        return _mean(window, source, target, rescale)
    low, high = activation_range(target, operator.activation)
    if operator.kind in {"MAX_POOL_2D", "REDUCE_MAX"}:
        return _max_pool(window, low, high)
    if operator.kind == "AVERAGE_POOL_2D":
        return _average_pool(window, low, high)
    sums = sums_of(graph, operator, rescale)
    add_up = (_convolution_sums if operator.kind == "CONV_2D" else _depthwise_sums)(window, sums, source)
    return lambda values: sums.outputs(add_up(window.images(values) - sums.zero), rescale)


def mean_multiplier(source: Tensor, target: Tensor, count: int) -> tuple[int, int]:
    """Return what takes a sum of `count` values to their mean in the output's scale, (mantissa, exponent).

    The division by `count` is part of the mantissa, cut off after as many bits as `count` has (`mean.h`).
    """
    mantissa, exponent = fixedpoint.quantized_multiplier(affine(source)[0] / affine(target)[0])
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return (mantissa << shift) // count, exponent - shift


def _convolution_sums(window: Window, sums: Sums, source: Tensor) -> Step:
    exact = exact_matrix(sums.weights.reshape(len(sums.weights), -1), source)
    channels = sums.weights.shape[3]
    groups = window.channels // channels
    units = len(sums.weights) // groups

    def run(images: Quantized) -> Quantized:
        covered = window.patches(window.padded(images.astype(exact.dtype)))
        made = np.empty((*covered.shape[:3], len(sums.weights)), np.int64)
        for part in _parts(covered.shape[:3], max(1, _PATCH_VALUES // len(exact))):
            for group in range(groups):
                of_group = slice(group * units, (group + 1) * units)
                taken = covered[part][..., group * channels : (group + 1) * channels].reshape(-1, len(exact))
                target = made[(*part, of_group)]
                target[...] = (taken @ exact[:, of_group]).reshape(target.shape)
        return made

    return run


def _parts(sizes: Sequence[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Yield the parts of an array of these sizes, of up to `most` places each."""
    steps, within = [], most
    for size in reversed(sizes):
        steps.append(max(1, min(size, within)))
        within //= max(1, size)
    ranges = [range(0, size, step) for size, step in zip(sizes, reversed(steps), strict=True)]
    for starts in itertools.product(*ranges):
        yield tuple(slice(start, start + places.step) for start, places in zip(starts, ranges, strict=True))


def _depthwise_sums(window: Window, sums: Sums, source: Tensor) -> Step:
    filters = sums.weights[0]
    outputs = filters.shape[2]
    # In the type in which sums are exact, one column an output.
    exact = exact_matrix(filters.reshape(-1, outputs).T, source).reshape(filters.shape)

    def run(images: Quantized) -> Quantized:
        padded = window.padded(np.repeat(images.astype(exact.dtype), outputs // window.channels, axis=3))
        totals = np.zeros((len(images), window.out_height, window.out_width, outputs), dtype=exact.dtype)
        for row, column, covered in window.taps(padded):
            totals += covered * exact[row, column]
        return totals.astype(np.int64)

    return run


def _max_pool(window: Window, low: int, high: int) -> Step:
    """Return the greatest values; beyond the image lies the lowest of int8, which no value of uint8 is below."""

    def run(values: Quantized) -> Quantized:
        padded = window.padded(window.images(values), fill=int(np.iinfo(np.int8).min))
        largest: Quantized = window.patches(padded).max(axis=(3, 4))
        return np.clip(largest, low, high)

    return run


def _average_pool(window: Window, low: int, high: int) -> Step:
    """Return the means, rounded to the nearest, halves away from zero."""
    ones = np.ones((1, window.height, window.width, 1), dtype=np.int64)
    counts = window.patches(window.padded(ones)).sum(axis=(3, 4))

    def run(values: Quantized) -> Quantized:
        sums = window.patches(window.padded(window.images(values))).sum(axis=(3, 4))
        means: Quantized = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
        return np.clip(means, low, high)

    return run


def _mean(window: Window, source: Tensor, target: Tensor, rescale: Rescale) -> Step:
    count = window.kernel_height * window.kernel_width
    (_, zero), (_, target_zero) = affine(source), affine(target)
    mantissa, exponent = mean_multiplier(source, target, count)
    low, high = activation_range(target, "none")

    def run(values: Quantized) -> Quantized:
        sums = window.patches(window.images(values)).sum(axis=(3, 4)) - zero * count
        return np.clip(rescale(sums, mantissa, exponent) + target_zero, low, high)

    return run
