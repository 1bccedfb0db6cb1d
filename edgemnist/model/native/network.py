"""A full-int8 network as the engine takes it: layers over numbers from 0 to 255, each after those that it takes.

Everything that depends on the model alone is computed here, by the functions of the NumPy reference itself: what is
left to the engine are sums of products, one rescaling each, table look-ups and the last steps of a softmax.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.layers import NOWHERE, Joined, Kind, Layer, Summing, Table
from edgemnist.model.runtimes.fixedpoint import activation_range, affine, numbers_of, sums_of
from edgemnist.model.runtimes.integer import (
    MOST_PRODUCTS,
    MOST_WEIGHTS,
    OF_TWO,
    REFERENCE,
    RESHAPING,
    WINDOWED,
    Needed,
    Rounding,
    elementwise,
    held_at_once,
    held_by,
    is_single,
    joined_shapes,
    last_kind,
    multipliers_of_two,
    needed,
    placed,
    quantized_reals,
    softmax_exponentials,
    sum_terms,
)
from edgemnist.model.runtimes.interface import infer_spec
from edgemnist.model.runtimes.moves import MOVING, Selection, check_same_scale, joined_axis, selection_of
from edgemnist.model.runtimes.pixels import Numbers, encoder, quantize_pixels
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor
from edgemnist.model.runtimes.windows import Window, cropping, mean_multiplier, sliding, window_of

MAX_OUTPUTS: Final = 4096
RULES: Final = ("single", "double")
"""Of `integer.RESCALINGS`, those in integers."""
LONGEST_ROW: Final = 32
"""Of pixels, for kernels that take squares of them."""

_LEVELS = np.arange(256, dtype=np.int64)
_LEAST_TERM = 2**11
"""Exponentials below this are 0 in Q12.19, and so is their share of any sum in steps of 1/256."""
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
_JOINING: Final = {"ADD": Kind.SUM, "SUB": Kind.DIFFERENCE, "MUL": Kind.PRODUCT, "PRELU": Kind.PRELU}
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
    """Those with a window, each after those that it takes, then dense ones in a row."""
    output: Numbers
    """What the numbers of the last layer stand for."""
    answer: tuple[int, ...]
    """The shape of one answer, as the file has it."""
    last: str = ""
    """The operator that it ends with."""
    guesses: tuple[str, ...] = ()
    """See `Classifier.guesses`."""
    shape: tuple[int, ...] = ()
    """Of one input in the file's tensor."""
    level_map: npt.NDArray[np.uint8] | None = None
    """As `pixel_map`, [256], but of distances from the lowest number of `held`."""
    rounding: str = REFERENCE.rescaling
    """The rule by which it rounds, one of `RULES`."""
    real_input: bool = False
    real_output: bool = False
    """Whether the file has real numbers there, next to the 8 bits of `held` and `output`."""

    @property
    def inputs(self) -> int:
        """How many bytes one input has."""
        return self.spec.size

    @property
    def takes_levels(self) -> bool:
        """Whether numbers become bytes before it is given them."""
        return self.spec.dtype != "uint8"

    @property
    def maps_pixels(self) -> bool:
        """Whether bytes of pictures become other numbers than such distances do."""
        return bool(np.any(_table(self.pixel_map) != _table(self.level_map)))

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
        return self.output.zero_point - self.output.lowest

    @property
    def has_softmax(self) -> bool:
        """Whether the last layer answers with probabilities."""
        return self.layers[-1].exponentials is not None


def read_network(graph: Graph, spec: InputSpec | None = None, rounding: Rounding = REFERENCE) -> Network:
    """Return the network of a `.tflite` file; `spec` is what it reads, by default what its tensors tell.

    Raises ValueError, with a few words, for a graph that the integer reference does not take either, that is larger
    than the engine's limits, or whose biases or scales are beyond 64-bit arithmetic, and for a rule not in `RULES`.
    """
    if rounding.rescaling not in RULES or rounding.softmax != REFERENCE.softmax:
        raise ValueError(f"the engine does not round in {rounding.rescaling}")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError("it has more than one input or output")
    source, target = (graph.tensors[index] for index in (*graph.inputs, *graph.outputs))
    plan = needed(graph)
    first, made = plan[0].operator if plan else None, plan[-1].operator if plan else None
    real_input = first is not None and (first.kind, source.dtype) == ("QUANTIZE", "float32")
    real_output = made is not None and made.kind == "DEQUANTIZE"
    held = numbers_of(graph.tensors[first.outputs[0]] if first is not None and real_input else source)
    output = numbers_of(graph.tensors[made.inputs[0]] if made is not None and real_output else target)
    guesses: tuple[str, ...] = ()
    if spec is None:
        spec, guesses = infer_spec(source.shape[1:], held_by(source))
    _check_input(source, spec)
    levels = _levels(held, spec, real=real_input) - held.lowest if spec.dtype == "uint8" else _LEVELS
    building = _Building(graph, plan, spec.size, rounding)
    for one in plan:
        try:
            building.add(one)
        except ValueError as error:
            raise placed(graph, one.operator, error) from error
    held_at_once(graph, plan)
    if not building.layers:
        raise ValueError("it has no layer with weights")
    layers = building.finished(graph.outputs[0])
    if (width := layers[-1].total_outputs) > MAX_OUTPUTS:
        raise ValueError(f"it has {width:,} outputs, and up to {MAX_OUTPUTS:,} are possible")
    answer = target.shape[1:] if math.prod(target.shape[1:]) == width else (width,)
    level_map, pixel_map = _or_none(building.level_map), building.level_map[levels]
    return Network(
        spec=spec,
        held=held,
        # There is a place for what one of them makes.
        pixel_map=_or_none(pixel_map) if level_map is None else pixel_map.astype(np.uint8),
        level_map=level_map,
        shape=source.shape[1:],
        layers=layers,
        output=output,
        answer=answer,
        last=last_kind(plan),
        guesses=guesses,
        rounding=rounding.rescaling,
        real_input=real_input,
        real_output=real_output,
    )


def _levels(held: Numbers, spec: InputSpec, *, real: bool) -> npt.NDArray[np.int64]:
    """Return the number of the first quantized tensor for each byte, [256], or [channels, 256]."""
    if not real:
        return quantize_pixels(held, spec).astype(np.int64)
    one = msgspec.structs.replace(spec, shape=(1, 1, *spec.shape[2:]))
    pixels = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(-1, *[1] * len(one.shape)), (256, *one.shape))
    encoder(Numbers(np.dtype(np.float32)), one)(pixels, reals := np.empty(pixels.shape, np.float32))
    table = quantized_reals(held, reals.reshape(256, -1).T)
    return table if len(spec.scale) > 1 else table[0]


def _check_input(source: Tensor, spec: InputSpec) -> None:
    if spec.axes(source.shape[1:]) is not None:
        raise ValueError(f"its input is an array of {list(source.shape)}, with the channels first")
    if source.shape[0] not in {1, -1}:
        raise ValueError(f"it takes {source.shape[0]} inputs at a time")


class _Range(TypedDict):
    """Fields of any layer."""

    zero_point: int
    low: int
    high: int


_Image: TypeAlias = tuple[int, int, int]
"""Height, width and channels."""


@dataclass(frozen=True)
class _Made:
    """Where a tensor's numbers are."""

    number: int
    """Of the layer, from 1 on; 0 is the input."""
    alone: bool
    """Whether nothing but the next operator reads them."""


class _Building:
    """A network of which some operators have been read."""

    def __init__(self, graph: Graph, plan: Sequence[Needed], inputs: int, rounding: Rounding) -> None:
        self.layers: list[Layer] = []
        self.level_map = _LEVELS
        self._graph, self._inputs, self._rounding = graph, inputs, rounding
        self._readers = Counter(index for one in plan for index in one.reads)
        self._readers[graph.outputs[0]] += 1
        self._made = {graph.inputs[0]: _Made(0, self._readers[graph.inputs[0]] == 1)}

    def add(self, one: Needed) -> None:
        """Add an operator. Raises ValueError where the engine does not take it."""
        graph, operator = self._graph, one.operator
        source, target = self._made[one.reads[0]], operator.outputs[0]
        if self._is_edge(operator, source):
            self._made[target] = replace(source, alone=self._readers[target] == 1)
            return
        selected = self._selected(operator, source.number) if operator.kind in MOVING else None
        found = None if selected is None else (selected.kind, selected.total_outputs)
        stays = found == (Kind.PICK, self._size(source.number))
        if operator.kind in RESHAPING or stays or (operator.kind == "CONCATENATION" and len(operator.inputs) == 1):
            check_same_scale(operator, graph.tensors[operator.inputs[0]], graph.tensors[target])
            self._made[target] = replace(source, alone=source.alone and self._readers[target] == 1)
            return
        if operator.kind == "FULLY_CONNECTED":
            number = self._append(self._dense(operator, source))
        elif selected is not None:
            number = self._append(selected)
        elif operator.kind == "CONCATENATION":
            number = self._concatenated(operator)
        elif operator.kind in WINDOWED:
            number = self._append(self._windowed(operator, source.number))
        elif operator.kind == "SOFTMAX":
            number = self._softmax(operator, source)
        elif operator.kind in OF_TWO and not is_single(graph.tensors[operator.inputs[1]]):
            number = self._append(self._joined(operator))
        else:
            lowest = numbers_of(graph.tensors[target]).lowest
            number = self._map(operator, source, elementwise(graph, operator, self._rounding) - lowest)
        self._made[target] = _Made(number, self._readers[target] == 1)

    def _is_edge(self, operator: Operator, source: _Made) -> bool:
        """Return whether an operator only brings in real numbers, or leads out to them."""
        if operator.kind == "DEQUANTIZE":
            return True
        if operator.kind != "QUANTIZE" or self._graph.tensors[operator.inputs[0]].dtype != "float32":
            return False
        if operator.inputs[0] != self._graph.inputs[0] or not source.alone:
            raise ValueError("its QUANTIZE takes real numbers that others take, or make")
        return True

    def finished(self, output: int) -> tuple[Layer, ...]:
        """Return the layers, of which dense ones follow those with windows; `output` is the last tensor."""
        if self._made[output].number != len(self.layers):
            raise ValueError("its last operator does not lead to the output")
        last = len(self.layers)
        while last and self.layers[last - 1].kind is Kind.DENSE and self.layers[last - 1].source == last - 1:
            last -= 1
        windowed = [
            replace(layer, kind=Kind.CONVOLUTION, window=sliding((1, 1, layer.matrix.shape[1])))
            if layer.matrix is not None and layer.window is None
            else layer
            for layer in self.layers[:last]
        ]
        return (*windowed, *self.layers[last:])

    def _append(self, layer: Layer) -> int:
        _check(layer)
        self.layers.append(layer)
        return len(self.layers)

    def _size(self, number: int) -> int:
        return self.layers[number - 1].total_outputs if number else self._inputs

    def _image(self, number: int, shape: Sequence[int]) -> _Image:
        """Return how a layer's outputs are an image: as they were made, if a tensor's last axis are their channels."""
        made = self.layers[number - 1].shape if number else None
        return made if made is not None and made[2:] == (*shape[-1:],) else _image_of(shape)

    def _map(self, operator: Operator, source: _Made, table: npt.NDArray[np.int64]) -> int:
        """Let every number of a layer become another, in a layer of its own if that is read by others."""
        if source.number == 0 and source.alone and not self.layers:
            self.level_map = table[self.level_map]
            return 0
        number = self._own(operator, source)
        layer = self.layers[number - 1]
        if layer.exponentials is None:
            self.layers[number - 1] = replace(layer, map=_or_none(table[_table(layer.map)]))
        else:
            self.layers[number - 1] = replace(layer, softmax_map=_or_none(table[_table(layer.softmax_map)]))
        return number

    def _softmax(self, operator: Operator, source: _Made) -> int:
        width = self._graph.tensors[operator.inputs[0]].shape[-1]
        layer = self.layers[source.number - 1] if source.number else None
        fits = layer is not None and layer.outputs == width and layer.exponentials is None
        number = self._own(operator, source if fits else replace(source, alone=False))
        exponentials = _exponentials(self._graph, operator)
        self.layers[number - 1] = replace(self.layers[number - 1], exponentials=exponentials)
        return number

    def _own(self, operator: Operator, source: _Made) -> int:
        """Return the number of a layer that may be changed: the one that is read, or one that takes what it makes."""
        if source.number and source.alone:
            return source.number
        held = self._graph.tensors[operator.inputs[0]]
        window = sliding(self._image(source.number, held.shape[1:]))
        made = Layer(kind=Kind.PICK, name=held.name, window=window, source=source.number, **_range(held, "none"))
        return self._append(made)

    def _dense(self, operator: Operator, source: _Made) -> Layer:
        """Return a dense layer. Raises ValueError where it does not take as many numbers as there are."""
        summed = _summed(self._graph, operator, rounds_twice=self._rounding.in_double)
        made, size = replace(summed, source=source.number), self._size(source.number)
        taken = self._graph.tensors[operator.inputs[1]].shape[1]
        if not taken or not size or size % taken:
            raise ValueError(f"its layer {made.name!r} has {taken} inputs, and there are {size}")
        if size != taken:
            return replace(made, kind=Kind.CONVOLUTION, window=sliding((size // taken, 1, taken)))
        return self._before_order(made) if source.alone and 0 < source.number == len(self.layers) else made

    def _before_order(self, dense: Layer) -> Layer:
        """Return a dense layer that takes what the last layer takes, if that only orders it; so do its weights then."""
        last, sums = self.layers[-1], dense.sums
        unlike = last.map is not None or last.exponentials is not None
        if last.places is None or last.window is None or unlike or sums is None:
            return dense
        shape = (last.window.height, last.window.width, last.window.channels)
        numbers = np.arange(math.prod(shape))
        order = Selection(shape=shape, places=last.places, fill=-1).take(numbers[None]).reshape(-1)
        if sums.weights is None or not np.array_equal(np.sort(order), numbers):
            return dense
        self.layers.pop()
        return replace(dense, source=last.source, sums=replace(sums, weights=sums.weights[:, np.argsort(order)]))

    def _windowed(self, operator: Operator, number: int) -> Layer:
        window = window_of(self._graph, operator)
        image = (window.height, window.width, window.channels)
        if math.prod(image) != self._size(number):
            raise ValueError(
                f"its {operator.kind} takes an image of {list(image)}, which the layer before does not make"
            )
        return replace(_windowed(self._graph, operator, window), source=number)

    def _selected(self, operator: Operator, number: int) -> Layer:
        """Return the layer of what only moves numbers: a crop, or any other selection by rows, columns and channels."""
        source, target = self._graph.tensors[operator.inputs[0]], self._graph.tensors[operator.outputs[0]]
        selection = selection_of(self._graph, operator)
        most = max(*selection.shape, *(int(axis.max()) for axis in selection.places))
        if len(selection.shape) > 3 or most >= NOWHERE:  # noqa: PLR2004 - height, width and channels
            raise ValueError(f"its {operator.kind} is of an array of {list(source.shape)}")
        image = _image_of(selection.shape)
        places = (*[np.zeros(1, np.int64)] * (3 - len(selection.places)), *selection.places)
        rows, columns, channels = places
        steps = [np.diff(axis) for axis in places]
        crops = all((axis == 1).all() for axis in steps) and min(map(min, places)) >= 0 and len(channels) == image[2]
        if crops:
            top, left = int(rows[0]), int(columns[0])
            below, beyond = image[0] - 1 - int(rows[-1]), image[1] - 1 - int(columns[-1])
            window = cropping(image, top=top, left=left, below=below, beyond=beyond)
        else:
            window = replace(sliding(image), out_height=len(rows), out_width=len(columns))
        return Layer(
            kind=Kind.PICK if crops else Kind.SELECTION,
            name=target.name,
            window=window,
            source=number,
            zero=selection.fill - numbers_of(source).lowest,
            places=None if crops else places,
            **_range(target, "none"),
        )

    def _concatenated(self, operator: Operator) -> int:
        """Add a layer for each tensor but the first; return the number of the last."""
        graph, target = self._graph, self._graph.tensors[operator.outputs[0]]
        axis = joined_axis(graph, operator)
        shapes = [graph.tensors[index].shape for index in operator.inputs]
        if axis == len(target.shape) - 1:
            images = [_image_of(shape[1:]) for shape in shapes]
        else:
            # Whatever lies behind the axis is a channel.
            images = [(math.prod(shape[1:axis]), 1, math.prod(shape[axis:])) for shape in shapes]
        numbers = [self._number(index) for index in operator.inputs]
        number, image = numbers[0], images[0]
        for other, shape in zip(numbers[1:], images[1:], strict=True):
            joined = Joined(number=other, shape=shape, zero=0)
            layer = Layer(
                kind=Kind.CONCATENATION,
                name=target.name,
                window=sliding(image),
                source=number,
                joined=joined,
                **_range(target, "none"),
            )
            number, image = self._append(layer), layer.shape
        return number

    def _joined(self, operator: Operator) -> Layer:
        """Return the layer of a sum, a difference or a product of two tensors, or of a PReLU and its slopes."""
        graph, target = self._graph, self._graph.tensors[operator.outputs[0]]
        numbers = [self._number(index) for index in operator.inputs[:2]]
        tensors = [graph.tensors[index] for index in operator.inputs[:2]]
        images = [_image_of(shape) for shape in joined_shapes(graph, operator)]
        made = [self.layers[number - 1].shape if number else None for number in numbers]
        if made[0] == made[1] and made[0] is not None and images[0] == images[1]:
            images = [made[0], made[0]]
        if math.prod(images[0]) < math.prod(images[1]):
            if operator.kind not in {"ADD", "MUL"}:
                raise ValueError(
                    f"its {operator.kind} of {list(images[0])} and {list(images[1])} has the larger one last"
                )
            numbers, tensors, images = numbers[::-1], tensors[::-1], images[::-1]
        if any(other not in {1, size} for size, other in zip(*images, strict=True)):
            raise ValueError(f"its {operator.kind} of {list(images[0])} and {list(images[1])} is broadcast both ways")
        scales, zeros = zip(*map(affine, tensors), strict=True)
        ratios = multipliers_of_two(operator.kind, scales, affine(target)[0], self._rounding)
        sums, terms, factors = _of_two(operator.kind, ratios, zeros, tensors)
        return Layer(
            kind=_JOINING[operator.kind],
            name=target.name,
            window=sliding(images[0]),
            source=numbers[0],
            zero=zeros[0] - numbers_of(tensors[0]).lowest,
            sums=sums,
            joined=Joined(
                number=numbers[1],
                shape=images[1],
                zero=zeros[1] - numbers_of(tensors[1]).lowest,
                terms=terms,
                factors=factors,
            ),
            **_range(target, operator.activation),
        )

    def _number(self, index: int) -> int:
        """Return the number of the layer that makes a tensor, which may be a constant."""
        if index in self._made:
            return self._made[index].number
        one = self._graph.tensors[index]
        image = _image_of(one.shape)
        levels = (one.values().astype(np.int64) - numbers_of(one).lowest).astype(np.uint8).reshape(image)
        layer = Layer(kind=Kind.CONSTANT, name=one.name, window=sliding(image), constant=levels, **_range(one, "none"))
        return self._append(layer)


def _image_of(shape: Sequence[int]) -> _Image:
    """Return an array's shape, with or without that of the batch, which is 1, as height, width and channels."""
    if len(shape) > 3:  # noqa: PLR2004 - height, width and channels
        *first, width, channels = shape
        return math.prod(first), width, channels
    height, width, channels = (*[1] * (3 - len(shape)), *shape)
    return height, width, channels


def _of_two(
    kind: str, ratios: Sequence[tuple[int, int]], zeros: Sequence[int], tensors: Sequence[Tensor]
) -> tuple[Summing, npt.NDArray[np.int32] | None, tuple[tuple[int, int], ...]]:
    """Return how what two tensors come to is rescaled, what each number adds to a sum, and what makes that of it."""
    mantissa, exponent = ratios[-1]
    terms = None
    if kind in {"ADD", "SUB"}:
        levels = [_LEVELS + numbers_of(tensor).lowest - zero for tensor, zero in zip(tensors, zeros, strict=True)]
        terms = np.array([sum_terms(*one) for one in zip(levels, ratios, strict=False)], dtype=np.int32)
    sums = Summing(
        weights=None,
        bias=np.zeros(1, np.int64),
        multiplier=np.array([mantissa], np.int32),
        shift=np.array([31 - exponent], np.uint8),
        rounds_twice=True,
    )
    return sums, terms, () if kind == "MUL" else tuple((one, 31 - power) for one, power in ratios[:2])


def _summed(graph: Graph, operator: Operator, window: Window | None = None, *, rounds_twice: bool = True) -> Layer:
    """Return the layer of an operator with weights; dense without a window."""
    source, weights, target = (graph.tensors[index] for index in (*operator.inputs[:2], *operator.outputs))
    sums = sums_of(graph, operator)
    zero = sums.zero - numbers_of(source).lowest
    kind, bias = Kind.DENSE if window is None else Kind.CONVOLUTION, sums.bias
    matrix = sums.weights.reshape(len(sums.weights), -1)
    if window is not None and operator.kind == "DEPTHWISE_CONV_2D":
        if len(bias) == window.channels:
            kind, matrix = Kind.DEPTHWISE, sums.weights.reshape(-1, window.channels)
        else:
            matrix = _expanded(sums.weights[0][..., None].transpose(2, 0, 1, 3), window, weights.name)
    elif window is not None and operator.kind == "CONV_2D" and weights.shape[3] < window.channels:
        matrix = _expanded(sums.weights, window, weights.name)
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
            rounds_twice=rounds_twice,
        ),
        **_range(target, operator.activation),
    )


def _windowed(graph: Graph, operator: Operator, window: Window) -> Layer:
    source, made = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    lowest = numbers_of(source).lowest
    if operator.kind == "MEAN":
        mantissa, exponent = mean_multiplier(source, made, window.kernel_height * window.kernel_width)
        sums = Summing(
            weights=None,
            bias=np.zeros(window.channels, dtype=np.int64),
            multiplier=np.full(window.channels, mantissa, dtype=np.int32),
            shift=np.full(window.channels, 31 - exponent, dtype=np.uint8),
            rounds_twice=True,
        )
        zero = affine(source)[1] - lowest
        return Layer(kind=Kind.DEPTHWISE, name=made.name, window=window, zero=zero, sums=sums, **_range(made, "none"))
    if operator.kind in _POOLING:
        found = _range(made, operator.activation)
        return Layer(kind=_POOLING[operator.kind], name=made.name, window=window, zero=-lowest, **found)
    return _summed(graph, operator, window)


def _range(target: Tensor, activation: str) -> _Range:
    lowest = numbers_of(target).lowest
    low, high = activation_range(target, activation)
    return {"zero_point": affine(target)[1] - lowest, "low": low - lowest, "high": high - lowest}


def _expanded(each: npt.NDArray[np.int8], window: Window, name: str) -> npt.NDArray[np.int8]:
    """Return the weights of a convolution in groups, or depthwise with several outputs a channel, as of a plain one.

    From [outputs, kernel_height, kernel_width, channels of a group] to [outputs, kernel_height * kernel_width *
    channels], with weights of 0 for all other channels. Raises ValueError where those are too many.
    """
    outputs, height, width, some = each.shape
    size = outputs * height * width * window.channels
    for count, most, what in (
        (size, MOST_WEIGHTS, "weights"),
        (size * window.out_height * window.out_width, MOST_PRODUCTS, "products"),
    ):
        if count > most:
            raise ValueError(f"its layer {name!r} needs {count:,} {what}, and up to {most:,} are possible")
    groups = window.channels // some
    filters = np.zeros((groups, outputs // groups, height, width, groups, some), dtype=np.int8)
    group = np.arange(groups)
    filters[group, :, :, :, group] = each.reshape(groups, -1, height, width, some)
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


def _table(table: Table | None) -> npt.NDArray[np.int64]:
    return _LEVELS if table is None else table.astype(np.int64)


def _or_none(table: npt.NDArray[np.int64]) -> Table | None:
    """Return a table as uint8, or None for one that changes nothing."""
    return None if np.array_equal(table, _LEVELS) else table.astype(np.uint8)
