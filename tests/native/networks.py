"""Random full-int8 graphs, as odd as a file may make them, and what the driver reads of them."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.layout import Rows, WeightForm, lay_out
from edgemnist.model.native.library import ALIGNMENT
from edgemnist.model.native.network import RULES, Network, read_network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW
from edgemnist.model.runtimes.integer import REFERENCE, IntegerClassifier, Rounding
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor

LOWEST = {"int8": -128, "uint8": 0}
NOTHING = np.empty(0, dtype=np.uint8)


class Options:
    """What an operator says of itself: its fields in order, as far as they are not the default."""

    def __init__(self, *fields: float) -> None:
        self.fields = fields

    def integer(self, field: int, _code: str = "i", default: int = 0) -> int:
        return int(self.fields[field]) if field < len(self.fields) else default

    def scalar(self, field: int, _code: str, default: float = 0) -> float:
        return self.fields[field] if field < len(self.fields) else default


class GraphBuilder:
    """Draws a graph from a seed."""

    def __init__(self, seed: int, *, widest: int = 70, windowed: bool | None = None, bits: int = 8) -> None:
        self.rng = np.random.default_rng(seed)
        self.widest = widest
        self.bits = bits
        self.windowed = seed % 2 == 1 if windowed is None else windowed
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.various = False
        """Whether convolutions may be grouped or dilated."""

    def graph(self) -> Graph:
        """Return a chain of one to four dense layers with what may stand between them, half of them after windows."""
        rng = self.rng
        # Nearly every file has the pixels as they are; here many have not.
        current = self.activation(784, scale=1 / 255 if rng.random() < 0.6 else None, plain=rng.random() < 0.6)
        width, layers = 784, int(rng.integers(1, 5))
        if self.windowed:
            shape = [(28, 28, 1), (28, 28, 1), (14, 28, 2), (7, 7, 16)][int(rng.integers(4))]
            for _ in range(int(rng.integers(1, 5))):
                current, shape = self.window(current, shape)
                if rng.random() < 0.15:
                    current = self.elementwise(current, math.prod(shape), "RELU" if rng.random() < 0.5 else "QUANTIZE")
            width = math.prod(shape)
            if width <= 256 and width > 1 and rng.random() < 0.5:
                layers = 0
                if shape[:2] == (1, 1) and rng.random() < 0.7:
                    current = self.softmax(current, width)
        for index in range(layers):
            last = index == layers - 1
            units = self.units(last=last)
            current = self.dense(current, width, units)
            width = units
            if rng.random() < 0.25:
                current = self.elementwise(current, width, "RELU" if rng.random() < 0.5 else "QUANTIZE")
            if (last and rng.random() < 0.6) or (not last and width <= 256 and rng.random() < 0.05):
                current = self.softmax(current, width)
            if last and rng.random() < 0.2:
                current = self.elementwise(current, width, "QUANTIZE")
        return self.ending_in(current)

    def branched(self) -> Graph:
        """Return a graph whose layers take any of those before them, some of them two, and then perhaps a dense one."""
        rng, self.various = self.rng, True
        shape: tuple[int, ...] = [(28, 28, 1), (14, 28, 2), (7, 7, 16), (14, 14, 4)][int(rng.integers(4))]
        made = [(self.shaped(self.activation(784, scale=1 / 255, plain=True), shape), shape)]
        for _ in range(int(rng.integers(3, 12))):
            source, shape = made[int(rng.integers(max(0, len(made) - 3), len(made)))]
            others = [index for index, other in made if self.joins(other, shape)]
            index, shape = self.grown(source, shape, others)
            made.append((self.shaped(index, shape), shape))
        for index, other in made[-4:-1]:
            # What nothing reads is left out; so at least some of it is read.
            if other == shape:
                made.append((self.shaped(self.joined(made[-1][0], index, shape), shape), shape))
        current, width = made[-1][0], math.prod(shape)
        if width > 4_000 or rng.random() < 0.7:
            current = self.softmax(self.dense(current, width, 10), 10)
        return self.ending_in(current)

    def grown(self, source: int, shape: tuple[int, ...], others: list[int]) -> tuple[int, tuple[int, ...]]:  # noqa: PLR0911 - one of each
        """Add what takes a tensor, and perhaps one of others; return the index of its outputs and their shape."""
        width, kind = math.prod(shape), self.rng.random()
        if kind < 0.35 and len(shape) == 3:
            return self.window(source, (shape[0], shape[1], shape[2]))
        if kind < 0.45:
            return self.elementwise(source, width, "RELU" if self.rng.random() < 0.5 else "QUANTIZE"), shape
        if kind < 0.52 and width <= 256:
            units = self.units(last=False)
            return self.dense(source, width, units), (units,)
        if kind < 0.56 and shape[-1] > 1:
            return self.softmax(source, width), shape
        like = self.tensors[source]
        if kind < 0.62 and len(shape) == 3:
            return self.selected(source, shape) if kind < 0.605 else self.transposed(source, shape)
        if kind < 0.66:
            target = self.add(like.dtype, (1, width), like.scales, int(like.zero_points[0]))
            curves = ["LEAKY_RELU", "RELU6", "HARD_SWISH", "TANH"]
            return self.operate(str(self.rng.choice(curves)), source, target, options=Options(0.3)), shape
        if kind < 0.7:
            alike = [index for index in others if self.tensors[index].shape == like.shape]
            return self.concatenated(source, [index for index in alike if self.scaled_as(like, index)], shape)
        if kind < 0.73:
            target = self.add(like.dtype, (1, width), like.scales, int(like.zero_points[0]))
            return self.operate("RESHAPE", source, target), (1, shape[0], width // shape[0])
        if kind < 0.76 and shape[-1] > 1:
            slopes = self.add("int8", shape[-1:], 1 / 100, 0, self.rng.integers(-128, 128, shape[-1:], np.int8))
            return self.operate("PRELU", source, self.activation(width), slopes), shape
        other = self.constant(shape) if kind < 0.82 else int(self.rng.choice(others))
        return self.joined(source, other, shape), shape

    def scaled_as(self, tensor: Tensor, index: int) -> bool:
        """Return whether a tensor has the type, scale and zero point of another."""
        other = self.tensors[index]
        same = (other.dtype, other.scales.tolist()) == (tensor.dtype, tensor.scales.tolist())
        return same and other.zero_points.tolist() == tensor.zero_points.tolist()

    def concatenated(self, source: int, others: list[int], shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Add what joins two or three tensors, or a tensor to itself, along any axis; return outputs and shape."""
        sources = [source, *map(int, self.rng.choice(others, int(self.rng.integers(1, 3))))]
        axis = int(self.rng.integers(len(shape)))
        whole = tuple(size * (len(sources) if at == axis else 1) for at, size in enumerate(shape))
        like = self.tensors[source]
        target = self.add(like.dtype, (1, *whole), like.scales, int(like.zero_points[0]))
        return self.operate("CONCATENATION", source, target, *sources[1:], options=Options(axis + 1)), whole

    def selected(self, source: int, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Add padding, a slice with steps, or what enlarges an image; return outputs and shape."""
        rng, like = self.rng, self.tensors[source]
        kind = str(rng.choice(["PAD", "STRIDED_SLICE", "RESIZE_NEAREST_NEIGHBOR"]))
        if kind == "PAD":
            pads = rng.integers(0, 3, (3, 2)) * [[1], [1], [int(rng.random() < 0.2)]]
            whole = tuple(int(size + pad.sum()) for size, pad in zip(shape, pads, strict=True))
            content = np.concatenate([np.zeros((1, 2)), pads]).astype("<i4")
            constants, options = [self.add("int32", (4, 2), [], 0, content)], None
        elif kind == "STRIDED_SLICE":
            steps = rng.integers(1, 4, 3)
            begins = [int(rng.integers(0, size)) for size in shape]
            whole = tuple(len(range(*one)) for one in zip(begins, shape, steps.tolist(), strict=True))
            places = ([0, *begins], [1, *shape], [1, *steps])
            constants = [self.add("int32", (4,), [], 0, np.array(place, "<i4")) for place in places]
            options = Options(0, 0, 0, 0, 0)
        else:
            whole = (*(int(rng.integers(1, 2 * size + 2)) for size in shape[:2]), shape[2])
            constants = [self.add("int32", (2,), [], 0, np.array(whole[:2], "<i4"))]
            options = Options(int(rng.random() < 0.3), 0)
        target = self.add(like.dtype, (1, *whole), like.scales, int(like.zero_points[0]))
        return self.operate(kind, source, target, *constants, options=options), whole

    def transposed(self, source: int, shape: tuple[int, ...], order: Sequence[int] = ()) -> tuple[int, tuple[int, ...]]:
        """Add what brings three axes, or four, into an order, by default any; return outputs and shape."""
        sides = (shape[0], 2, shape[1] // 2, shape[2]) if shape[1] % 2 == 0 else shape
        order = order or self.rng.permutation(len(sides)).tolist()
        shapes = (sides, made := [sides[axis] for axis in order], (math.prod(made[:-2]), *made[-2:]))
        self.tensors += [replace(self.tensors[source], shape=(1, *each)) for each in shapes]
        parted, moved, target = range(len(self.tensors) - 3, len(self.tensors))
        axes = self.add("int32", (len(order) + 1,), [], 0, np.array([0, *(1 + axis for axis in order)], "<i4"))
        self.operate("TRANSPOSE", self.operate("RESHAPE", source, parted), moved, axes)
        return self.operate("RESHAPE", moved, target), shapes[2]

    @staticmethod
    def joins(other: tuple[int, ...], shape: tuple[int, ...]) -> bool:
        """Return whether a tensor can be joined to one of a shape: each of its axes is as long, or 1."""
        return len(other) == len(shape) and all(size in {1, whole} for size, whole in zip(other, shape, strict=True))

    def shaped(self, index: int, shape: tuple[int, ...]) -> int:
        """Give an activation its shape; return its index."""
        self.tensors[index] = replace(self.tensors[index], shape=(1, *shape))
        return index

    def constant(self, shape: tuple[int, ...]) -> int:
        """Add a constant that can be joined to a tensor of a shape; return its index."""
        shape = tuple(size if self.rng.random() < 0.5 or size == shape[-1] else 1 for size in shape)
        content = self.rng.integers(-128, 128, shape, np.int8)
        return self.add("int8", shape, self.scale(), int(self.rng.integers(-128, 128)), content)

    def joined(self, source: int, other: int, shape: tuple[int, ...]) -> int:
        """Add a sum, a difference or a product of two tensors; return the index of its outputs."""
        kind = str(self.rng.choice(["ADD", "ADD", "SUB", "MUL"]))
        scales = [float(self.tensors[index].scales[0]) for index in (source, other)]
        typical = scales[0] * scales[1] * 100 if kind == "MUL" else max(scales)
        scale = float(np.clip(typical * 10 ** self.rng.uniform(-1, 1), 1e-37, 1e37))
        target = self.shaped(self.activation(math.prod(shape), scale=scale), shape)
        return self.operate(kind, source, target, other, options=Options(int(self.rng.choice([0, 0, 1, 3]))))

    def ending_in(self, output: int) -> Graph:
        return Graph(tensors=tuple(self.tensors), operators=tuple(self.operators), inputs=(0,), outputs=(output,))

    def operate(self, kind: str, source: int, target: int, *constants: int, options: Any = None) -> int:
        operator = Operator(kind=kind, inputs=(source, *constants), outputs=(target,), options=options)
        self.operators.append(operator)
        return target

    def units(self, *, last: bool) -> int:
        if last:
            return int(self.rng.choice([2, 3, 10, 10, 10, 16, 17, 47, 256]))
        special = [1, 2, 15, 16, 17, 31, 32, 33, 64, 65]
        return int(self.rng.choice(special)) if self.rng.random() < 0.5 else int(self.rng.integers(1, self.widest + 1))

    def add(self, dtype: str, shape: tuple[int, ...], scales: Any, zero_point: int, content: Any = NOTHING) -> int:
        scales = np.atleast_1d(np.asarray(scales, dtype=np.float32))
        self.tensors.append(
            Tensor(
                name=f"tensor {len(self.tensors)}",
                dtype=dtype,
                shape=shape,
                scales=scales,
                zero_points=np.full(scales.size, zero_point, dtype=np.int64),
                channel_axis=0,
                content=np.ascontiguousarray(content).reshape(-1).view(np.uint8),
            )
        )
        return len(self.tensors) - 1

    def activation(self, width: int, *, scale: float | None = None, plain: bool | None = None) -> int:
        rng = self.rng
        dtype = "int8" if rng.random() < 0.8 else "uint8"
        plain = rng.random() < 0.5 if plain is None else plain
        zero_point = LOWEST[dtype] + (0 if plain else int(rng.integers(0, 256)))
        return self.add(dtype, (1, width), self.scale() if scale is None else scale, zero_point)

    def scale(self) -> float:
        # Of activations: ordinary ones, and nearly both ends of what a float32 holds.
        return (
            float(10 ** self.rng.uniform(-3, 0)) if self.rng.random() < 0.95 else float(self.rng.choice([1e-37, 1e35]))
        )

    def dense(self, source: int, inputs: int, units: int) -> int:
        target = self.activation(units)
        constants = self.constants(source, target, (units, inputs), inputs)
        activation = Options(int(self.rng.choice([0, 0, 1, 1, 1, 2, 3])))
        return self.operate("FULLY_CONNECTED", source, target, *constants, options=activation)

    def constants(
        self, source: int, target: int, shape: tuple[int, ...], terms: int, channel_axis: int = 0
    ) -> tuple[int, ...]:
        """Add weights and perhaps a bias for sums of this many terms; return their indices."""
        rng = self.rng
        units = shape[channel_axis]
        weights = rng.integers(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1), shape, dtype=np.int64)
        kind = rng.random() if self.bits == 8 else 1
        if kind < 0.1:
            weights[:] = rng.choice([-128, 127], [units if axis == channel_axis else 1 for axis in range(len(shape))])
        elif kind < 0.3:
            weights[rng.random(weights.shape) < 0.8] = 0
        elif kind < 0.4:
            weights = rng.integers(-1, 2, shape, dtype=np.int64)
        elif kind < 0.5:
            weights = rng.integers(-7, 8, shape, dtype=np.int64)
        source_scale, target_scale = (float(self.tensors[index].scales[0]) for index in (source, target))
        # Such that the outputs cover their range, mostly.
        size = 80 * max(float(np.abs(weights).mean()), 0.5)
        typical = target_scale * 100 / (source_scale * size * np.sqrt(terms))
        spread = 10 ** rng.uniform(-1, 1, units if rng.random() < 0.7 else 1)
        with np.errstate(over="ignore"):
            scales = np.clip(np.abs(typical * spread), 1e-38, 3e38).astype(np.float32)
        if rng.random() < 0.05:
            scales *= np.float32(0)
        bias = rng.normal(0, size * np.sqrt(terms), units).astype(np.int64)
        if rng.random() < 0.15:
            bias = rng.choice([-(2**31), 2**31 - 1, 0, 2**31 - 30_000_000], units)
        return (
            self.add("int8", shape, scales, 0, weights.astype(np.int8)),
            *([] if rng.random() < 0.1 else [self.add("int32", (units,), [], 0, bias.astype("<i4"))]),
        )

    def window(
        self, source: int, shape: tuple[int, int, int], kind: str | None = None, outputs: int | None = None
    ) -> tuple[int, tuple[int, int, int]]:
        """Add a layer whose window slides over an image of a shape; return its outputs and their shape."""
        rng = self.rng
        height, width, channels = shape
        image = self.tensors[source] = replace(self.tensors[source], shape=(1, *shape))
        kinds = ["CONV_2D", "STRIDED_SLICE", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN"]
        kind = kind or str(rng.choice(kinds, p=[0.4, 0.1, 0.2, 0.15, 0.1, 0.05]))
        if kind == "MEAN":
            target = self.activation(channels)
            axes = self.add("int32", (2,), [], 0, np.array([1, 2], dtype="<i4"))
            return self.operate(kind, source, target, axes), (1, 1, channels)
        constants: tuple[int, ...]
        if kind == "STRIDED_SLICE":
            begins, ends = ([int(rng.integers(0, (size + 1) // 2)) for size in (height, width)] for _ in range(2))
            cropped = (height - begins[0] - ends[0], width - begins[1] - ends[1], channels)
            target = self.add(image.dtype, (1, *cropped), image.scales, int(image.zero_points[0]))
            # From the end where something is cropped there, and with a mask for all images and channels.
            places = ([0, *begins, 0], [0, *(-end or size for end, size in zip(ends, shape, strict=False)), 0], [1] * 4)
            constants = tuple(self.add("int32", (4,), [], 0, np.array(place, dtype="<i4")) for place in places)
            return self.operate(kind, source, target, *constants, options=Options(9, 9, 0, 0, 0)), cropped
        constants = ()
        same = bool(rng.random() < 0.5)
        sides = [int(rng.integers(1, 6 if same else min(5, size) + 1)) for size in (height, width)]
        strides = [int(rng.choice([1, 1, 2, 3])) for _ in range(2)]
        steps = [1, 1]
        if self.various and "CONV" in kind and rng.random() < 0.2:
            most = [
                3 if same or side == 1 else (size - 1) // (side - 1) for size, side in zip(shape, sides, strict=False)
            ]
            steps = [int(rng.integers(1, min(3, one) + 1)) for one in most]
        out_height, out_width = (
            -(-size // stride) if same else (size - step * (side - 1) - 1) // stride + 1
            for size, side, stride, step in zip((height, width), sides, strides, steps, strict=True)
        )
        activation = int(rng.choice([0, 0, 1, 1, 3]))
        first = (0 if same else 1, strides[1], strides[0])
        if kind in {"MAX_POOL_2D", "AVERAGE_POOL_2D"}:
            outputs = channels
            target = self.add(
                image.dtype, (1, out_height, out_width, channels), image.scales, int(image.zero_points[0])
            )
            options = Options(*first, sides[1], sides[0], activation)
        elif kind == "CONV_2D":
            outputs = outputs or int(rng.choice([1, 3, 4, 8, 10, 16, 17, 33]))
            target = self.activation(out_height * out_width * outputs)
            grouped = self.various and channels % 2 == outputs % 2 == 0 and rng.random() < 0.2
            groups = 2 if grouped else 1
            terms = math.prod(sides) * channels // groups
            constants = self.constants(source, target, (outputs, *sides, channels // groups), terms)
            options = Options(*first, activation, *steps[::-1])
        else:
            outputs = channels * int(rng.choice([1, 1, 2] if channels <= 16 else [1]))
            target = self.activation(out_height * out_width * outputs)
            constants = self.constants(source, target, (1, *sides, outputs), math.prod(sides), channel_axis=3)
            options = Options(*first, outputs // channels, activation, *steps[::-1])
        return self.operate(kind, source, target, *constants, options=options), (out_height, out_width, outputs)

    def elementwise(self, source: int, width: int, kind: str) -> int:
        """Add a RELU, a QUANTIZE, or what scales by a single number; return the index of its outputs."""
        if kind == "QUANTIZE" and self.rng.random() < 0.5:
            return self.scaling(source, width)
        target = self.activation(width)
        ends = self.tensors[source].scales[0], self.tensors[target].scales[0]
        if ends[0] / 2**20 > ends[1]:
            # The kernels' numbers would leave 32 bits.
            self.tensors[target] = replace(self.tensors[target], scales=self.tensors[source].scales)
        return self.operate(kind, source, target)

    def scaling(self, source: int, width: int) -> int:
        """Add a MUL, an ADD or a SUB of a single number; return the index of its outputs."""
        rng = self.rng
        kind, activation = (str(rng.choice(["MUL", "ADD", "SUB"])), Options(int(rng.choice([0, 0, 1, 3]))))
        scale = float(self.tensors[source].scales[0])
        number = self.add(
            "int8",
            (),
            scale * 10 ** rng.uniform(-2, 1),
            int(rng.integers(-128, 128)),
            rng.integers(-128, 128, 1, np.int8),
        )
        target = self.activation(width, scale=scale * 10 ** rng.uniform(-1, 1))
        return self.operate(kind, source, target, number, options=activation)

    def softmax(self, source: int, width: int) -> int:
        dtype = "int8" if self.rng.random() < 0.8 else "uint8"
        target = self.add(dtype, (1, width), 1 / 256, LOWEST[dtype])
        return self.operate("SOFTMAX", source, target, options=Options(1.0) if self.rng.random() < 0.7 else None)


def small_network(seed: int, bits: int = 8, channels: int = 8) -> Graph:
    """Return a network of every kind of layer, 10 classes, and weights of this many bits; small with 8 channels.

    Only then it ends in a softmax, which makes many scores alike.
    """
    builder = GraphBuilder(seed, bits=bits)
    current = builder.activation(784, scale=1 / 255, plain=True)
    shape = (28, 28, 1)
    for kind, outputs in (
        ("STRIDED_SLICE", None),
        ("CONV_2D", channels),
        ("MAX_POOL_2D", None),
        ("DEPTHWISE_CONV_2D", None),
        ("CONV_2D", channels + 2),
        ("AVERAGE_POOL_2D", None),
    ):
        current, shape = builder.window(current, shape, kind, outputs)
    if seed % 2:
        current, shape = builder.window(current, shape, "MEAN")
    scores = builder.dense(current, math.prod(shape), 10)
    return builder.ending_in(builder.softmax(scores, 10) if channels == 8 else scores)


def edge_graph(kind: str, size: int, seed: int) -> Graph:
    """Return a graph of which one size is given: where a field of 8 or 16 bits ended, or sums of 32.

    `kind` is `units` of a dense layer, `patch` for what a convolution takes, `channels`, `rows` of a mean, `sums` for
    this many products of 255 and -128, or `bias` for the largest one before such products.
    """
    builder = GraphBuilder(seed)
    current, last = builder.activation(784, scale=1 / 255, plain=True), size
    if kind == "units":
        current = builder.dense(builder.dense(current, 784, 3), 3, size)
    elif kind == "patch":
        height, width, channels = {65_535: (15, 17, 257), 65_536: (16, 16, 256), 65_538: (18, 11, 331)}[size]
        current = _cropped(builder, current, (28, 28, 1), (height, width))
        current = _convolved(builder, current, (height, width, 1), (1, 1), channels)
        current, last = (_convolved(builder, current, (height, width, channels), (height, width), 9), 9)
    elif kind in {"channels", "rows"}:
        image = (1, 2, size) if kind == "channels" else (size, 1, 5)
        current = _cropped(builder, current, (28, 28, 1) if kind == "channels" else (784, 1, 1), image[:2])
        current = _convolved(builder, current, (*image[:2], 1), (1, 1), image[2])
        (current, _), last = builder.window(current, image, "MEAN"), image[2]
    else:
        current = builder.dense(builder.dense(current, 784, 1), 1, size)
    current = builder.dense(current, last, 10)
    if kind in {"sums", "bias"}:
        _extremes(builder, largest_bias=kind == "bias")
    return builder.ending_in(current)


def _cropped(builder: GraphBuilder, current: int, image: tuple[int, int, int], sides: tuple[int, int]) -> int:
    source = builder.tensors[current] = replace(builder.tensors[current], shape=(1, *image))
    cropped = (1, *sides, image[2])
    target = builder.add(source.dtype, cropped, source.scales, int(source.zero_points[0]))
    places = (builder.add("int32", (4,), [], 0, np.array(one, dtype="<i4")) for one in ([0] * 4, cropped, [1] * 4))
    return builder.operate("STRIDED_SLICE", current, target, *places, options=Options(0, 0, 0, 0, 0))


def _convolved(
    builder: GraphBuilder, current: int, image: tuple[int, int, int], sides: tuple[int, int], outputs: int
) -> int:
    target = builder.activation(outputs * (image[0] - sides[0] + 1) * (image[1] - sides[1] + 1))
    builder.tensors[current] = replace(builder.tensors[current], shape=(1, *image))
    constants = builder.constants(current, target, (outputs, *sides, image[2]), math.prod(sides) * image[2])
    return builder.operate("CONV_2D", current, target, *constants, options=Options(1, 1, 1, 1))


def _extremes(builder: GraphBuilder, *, largest_bias: bool) -> None:
    """Let the last but one layer answer with its highest numbers alone, and give the last one extreme constants."""
    before, last = builder.operators[-2:]
    (source, weights, bias), (target,) = last.inputs, last.outputs
    units = builder.tensors[weights].shape[1]

    def change(index: int, content: Any = NOTHING, **changes: Any) -> None:
        tensor = builder.tensors[index]
        content = content.reshape(-1).view(np.uint8) if content.size else tensor.content
        builder.tensors[index] = replace(tensor, content=content, **changes)

    # The lowest number stands for 0, so that no zero point is part of the bias.
    change(source, zero_points=np.array([LOWEST[builder.tensors[source].dtype]]))
    change(before.inputs[2], np.full(units, 2**31 - 1, "<i4"))
    matrix = np.full((10, units), -8 if largest_bias else -128, np.int8)
    matrix[1:] += np.arange(9, dtype=np.int8)[:, None]
    # Most of the range, downwards from its end.
    scale = builder.tensors[target].scales / builder.tensors[source].scales * np.float32(240 / 2**31)
    change(weights, matrix, scales=scale)
    change(bias, np.full(10, 2**31 - 1 if largest_bias else 0, "<i4"))
    change(target, dtype="uint8", zero_points=np.array([0 if largest_bias else 255]))
    builder.operators[-1] = replace(last, options=None)


EDGES = [
    *(("units", 65_535, 0), ("units", 65_536, 6), ("units", 65_537, 2)),
    *(("patch", 65_535, 0), ("patch", 65_536, 0), ("patch", 65_538, 6)),
    *(("channels", 65_535, 1), ("channels", 65_536, 0), ("channels", 65_537, 0)),
    *(("rows", size, 1) for size in (255, 256, 257, 784)),
    *(("sums", 65_793, 1), ("bias", 100, 0)),
]
"""Of `edge_graph`: the last that fits, the first that did not, and one more, with seeds whose answers cover their
range. 65,793 products of 255 and -128 are the most that an int32 holds."""


def random_images(count: int, seed: int) -> Images:
    """Return noise, of which some has blank parts, one is blank and one is full."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    images[1::3, :, 14:] = 0
    images[2::3] = np.where(rng.random(images[2::3].shape) < 0.8, 0, images[2::3])
    images[0], images[-1] = 0, 255
    return images


def spec_of(graph: Graph) -> InputSpec:
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    return InputSpec(shape=shape[:2] if shape[2:] == (1,) else shape)


def expected_scores(graph: Graph, images: Images, rounding: Rounding = REFERENCE) -> npt.NDArray[np.uint8]:
    """Return the reference's output tensor as distances from the lowest number, uint8 [N, C]."""
    spec, target = spec_of(graph), graph.tensors[graph.outputs[0]]
    classifier = IntegerClassifier(graph, Path("random"), spec=spec, numbers=True, rounding=rounding)
    found = classifier.quantized(images.reshape(-1, *spec.shape)).reshape(len(images), -1)
    return (found - LOWEST[target.dtype]).astype(np.uint8)


def random_graph(seed: int, widest: int = 70) -> Graph:
    """Return a chain, or for every third seed a graph that branches."""
    builder = GraphBuilder(seed, widest=widest)
    return builder.branched() if seed % 3 == 0 else builder.graph()


def random_case(
    seed: int, *, count: int = 24, widest: int = 70
) -> tuple[Network, Images, npt.NDArray[np.uint8]] | None:
    """Return a network, images and the reference's scores, or None where its numbers are beyond fixed point.

    Of any four seeds in a row two round by each rule, with windows and without.
    """
    graph, images = random_graph(seed, widest), random_images(count, seed)
    rounding = Rounding(RULES[seed // 2 % 2])
    try:
        return read_network(graph, spec_of(graph), rounding), images, expected_scores(graph, images, rounding)
    except ValueError as error:
        # Anything else is a mistake of the generator.
        if re.search(r"beyond|leave 32 bits|too small for fixed point|no layer with weights", str(error)):
            return None
        raise


def stream(network: Network, images: Images, scores: npt.NDArray[np.uint8], kernels: Sequence[Sequence[int]]) -> bytes:
    """Return what the driver reads of one case: for each kernel, by what it wants, the network as it takes it."""
    parts = [struct.pack("<I", len(images)), _array(images), _array(scores)]
    for group, small_block, block, form, squares, rows in kernels:
        laid_out = lay_out(
            network,
            group=group,
            block=block,
            small_block=small_block,
            form=WeightForm(form),
            squares=bool(squares),
            rows=Rows(rows),
            alignment=ALIGNMENT,
        )
        parts += [_array(laid_out.pixel_map), _numbers(laid_out.numbers)]
        for layer in laid_out.layers:
            parts += [*map(_array, layer.tables.values()), _numbers(layer.numbers)]
        parts += map(_numbers, laid_out.windows)
    return b"".join(parts)


END = bytes(4)


def _numbers(numbers: Mapping[str, int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers.values())


def _array(values: npt.NDArray[Any] | None) -> bytes:
    data = b"" if values is None else values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return struct.pack("<I", len(data)) + data


def fields_header() -> str:
    """Return how the driver fills the structures of `engine.h`."""
    text = ""
    for structure in (LAYER, WINDOW, MODEL):
        name, pointers = structure.name, structure.pointers[:1] if structure is MODEL else structure.pointers
        lines = [f"to->{pointer} = pointers[{at}];" for at, pointer in enumerate(pointers)]
        lines += [
            f"to->{field} = (uint{bits}_t)numbers[{at}];" for at, (field, bits) in enumerate(structure.bits.items())
        ]
        text += (
            f"enum {{ {name.upper()}_POINTERS = {len(pointers)}, {name.upper()}_NUMBERS = {len(structure.bits)} }};\n"
        )
        text += f"static void fill_{name}(edgemnist_{name} *to, void *const *pointers, const uint32_t *numbers)\n"
        text += "\n    ".join(["{", "(void)pointers;", *lines]) + "\n}\n"
    return text
