"""A NumPy reference of full-int8 TFLite graphs: what says who is wrong where two runtimes disagree.

Written from TFLite's 8-bit quantization specification (https://ai.google.dev/edge/litert/models/quantization_spec)
and the arithmetic of its reference kernels, which it equals bit for bit; LiteRT's optimized ones differ by one step in
the softmax, which they compute in float32. It needs NumPy alone, so it also answers where no runtime has a wheel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.runtimes import fixedpoint
from edgemnist.model.runtimes.activations import CUT, curved, hard_swish
from edgemnist.model.runtimes.fixedpoint import (
    BOUNDS,
    Quantized,
    Rescale,
    Step,
    activation_range,
    affine,
    exact_matrix,
    numbers_of,
    sums_of,
)
from edgemnist.model.runtimes.interface import ChunkedClassifier, Options, infer_spec, not_a_classifier
from edgemnist.model.runtimes.moves import MOVING, check_same_scale, moved
from edgemnist.model.runtimes.pixels import Numbers, decoder, encoder
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor, read_graph_file
from edgemnist.model.runtimes.windows import CONVOLUTIONS, REDUCING, window_of, windowed

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images, Probabilities

RESCALINGS: Final[dict[str, tuple[Rescale, Rescale]]] = {
    "single": (fixedpoint.multiply_by_quantized_multiplier, fixedpoint.multiply_rounding_twice),
    "double": (fixedpoint.multiply_rounding_twice, fixedpoint.multiply_rounding_twice),
    "float": (fixedpoint.multiply_in_float, fixedpoint.multiply_in_float),
}
"""How kernels round what they compute to the next layer's scale: dense layers, and all others.
LiteRT's reference kernels, `single`, round once in the former and twice in the latter."""
SOFTMAXES: Final = ("integer", "float")
"""What kernels compute the int8 softmax in."""


@dataclass(frozen=True)
class Rounding:
    """A rule by which int8 kernels round. The default is the reference's."""

    rescaling: str = "single"
    """One of `RESCALINGS`."""
    softmax: str = "integer"
    """One of `SOFTMAXES`."""

    @property
    def in_double(self) -> bool:
        """Whether ratios of scales are computed in double precision throughout, as on microcontrollers."""
        return self.rescaling == "double"


REFERENCE: Final = Rounding()

_SHAPE_ARITHMETIC = frozenset({"SHAPE", "STRIDED_SLICE", "PACK"})
"""They compute the batch size for RESHAPE, which is always the number of images here; a STRIDED_SLICE of images crops
them."""
RESHAPING = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
WINDOWED: Final = (*CONVOLUTIONS, "MAX_POOL_2D", "AVERAGE_POOL_2D", *REDUCING)
"""What slides a window over an image; see `runtimes.windows`."""
SCALING: Final = ("MUL", "ADD", "SUB")
"""Of two tensors, or of one and a constant: a single number, which scales pixels, say, or several."""
OF_TWO: Final = (*SCALING, "PRELU")
_ELEMENTWISE: Final = (*CUT, "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "GELU", *OF_TWO)
_WITH_BIAS: Final = ("FULLY_CONNECTED", *CONVOLUTIONS)
"""Which may leave it out."""
EDGES: Final = ("QUANTIZE", "DEQUANTIZE")
"""Where real numbers become quantized ones, or the other way round, as a converter leaves it at both ends."""
_OTHERS: Final = ("FULLY_CONNECTED", "DEQUANTIZE", "CONCATENATION", "SOFTMAX", *sorted(RESHAPING))
_KNOWN: Final = (*WINDOWED, *MOVING, *_ELEMENTWISE, *_OTHERS)

_LONGEST_NAME: Final = 60
_MOST_OPERATORS: Final = 2000
"""Of a graph, as of the layers of a Keras model."""
MOST_WEIGHTS: Final = 1 << 24
"""Bytes of all constants of a graph. Operators may share them, so that a small file would be gigabytes here."""
MOST_PRODUCTS: Final = 1 << 30
"""That one input takes: a second or two here. MobileNet V2 at 224×224 takes a third of it."""
_MOST_VALUES: Final = 1 << 25
"""Numbers of one input that are held at a time, of 8 bytes."""
_AT_ONCE: Final = 1 << 20
"""The same of several inputs together. Much more than a cache holds is slower, too."""
_ACCUMULATION_BITS = 12
"""The softmax adds up exponentials in Q12.19."""
_MOST_TERMS: Final = 2**_ACCUMULATION_BITS - 1
"""That it can add up: each is at most 1."""
_DIFFERENCE_BITS = 5
"""It takes the exponential of differences in Q5.26."""
SUM_BITS = 20
"""ADD and SUB take numbers with this many bits more."""
_SOFTMAX_SCALE = 1 / 256
"""Of the int8 softmax's output, by the specification; its zero point is the lowest value."""


class IntegerClassifier(ChunkedClassifier):
    """A full-int8 `.tflite` file, computed in integers."""

    def __init__(self, graph: Graph, path: Path, *, rounding: Rounding = REFERENCE, **options: Unpack[Options]) -> None:
        """`graph` is the contents of the file, `path` its name in messages; `rounding` may be that of other kernels.

        Raises ValueError, with a few words, for a graph that cannot be computed in integers.
        """
        self._rounding = rounding
        super().__init__(graph, path, **options)

    def _take(self, source: Graph, spec: InputSpec | None) -> Callable[[], str]:
        if len(source.inputs) != 1 or len(source.outputs) != 1:
            raise ValueError("it has more than one input or output")
        self._source, self._target = source.inputs[0], source.outputs[0]
        given, made = source.tensors[self._source], source.tensors[self._target]
        self._numbers, self._output = held_by(given), held_by(made)
        if spec is None:
            spec, self.guesses = infer_spec(given.shape[1:], self._numbers)
        self.spec, self._reads = spec, (self._numbers.dtype, given.shape[1:])
        check_input(given, self._file, spec)
        self._write, self._decode = encoder(self._numbers, spec), decoder(self._output)
        self._plan, held_at_once = plan(source, self._rounding)
        self.most = min(self.most, max(1, _AT_ONCE // held_at_once))
        self._made = made.shape[1:] if min(made.shape[1:], default=0) > 0 else (-1,)
        self._shape = self._made if self._is_numbers is not False else (-1,)
        return partial(last_kind, self._plan)

    @classmethod
    def load(cls, path: Path, *, rounding: Rounding = REFERENCE, **options: Unpack[Options]) -> Self:
        """Read a full-int8 TFLite file; see `Classifier.load`.

        `threads` makes no difference: NumPy's BLAS has a setting of its own. Raises ArtifactError, too, where the file
        has other operators than those in `_KNOWN`, or others than in 8 bits.
        """
        graph = read_graph_file(path)
        try:
            return cls(graph, path, rounding=rounding, **options)
        except (ValueError, LookupError, ArithmeticError) as error:
            # Whatever a graph makes of its computation that refers to tensors which it does not have.
            raise not_in_integers(path, error, "integer") from error

    def held(self, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values of the input tensor, int64 [N, values], or float32 where it holds real numbers."""
        written = np.empty(inputs.shape, self._numbers.storage)
        self._write(inputs, written)
        return _values(written.view(self._numbers.dtype))

    def quantized(self, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values of the output tensor, int64 [N, ...], for up to `most` inputs, [N, *shape].

        Where the file turns them into real numbers, those are returned, float32.
        """
        return self._computed(self.held(inputs)).reshape(len(inputs), *self._shape)

    def _run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self._computed(_values(tensor)).astype(self._output.dtype).reshape(len(tensor), *self._made)

    def _computed(self, held: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = {self._source: held}
        for planned in self._plan:
            made = planned.run(*(values[index] for index in planned.reads))
            for index in planned.last:
                del values[index]
            values[planned.operator.outputs[0]] = made
        return values[self._target]

    def _scores(self, images: Images) -> Probabilities:
        return self._decode(self.quantized(images).astype(self._output.dtype).view(self._output.storage))


def _values(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = tensor.reshape(len(tensor), -1)
    return flat if flat.dtype.kind == "f" else flat.astype(np.int64)


def check_input(source: Tensor, path: Path, spec: InputSpec) -> None:
    """Raise ArtifactError unless an input tensor has the numbers of one input, in their order."""
    try:
        turned = spec.axes(source.shape[1:]) is not None
    except ValueError:
        turned = True
    if turned or source.shape[0] not in {1, -1}:
        raise not_a_classifier(path, f"its input is an array of {list(source.shape)}", spec)


def not_in_integers(path: Path, error: Exception, runtime: str) -> ArtifactError:
    """Return the error for a file that a runtime cannot compute in integers."""
    return ArtifactError(
        f"{path} cannot be computed in integers: {error}",
        hint=f"The {runtime} runtime takes full-int8 TFLite files of dense layers, convolutions and pooling, such as "
        "tflite-int8.",
    )


def _terms(operator: Operator) -> int:
    """Return how many of an operator's first inputs may be computed."""
    return len(operator.inputs) if operator.kind == "CONCATENATION" else 2 if operator.kind in SCALING else 1


def _computing(graph: Graph) -> Iterator[Operator]:
    """Yield the operators that do not only compute shapes. Raises ValueError for one that is not known here."""
    computed = {graph.inputs[0]}
    for operator in graph.operators:
        of_shapes = operator.kind != "STRIDED_SLICE" or operator.inputs[0] not in computed
        if operator.kind in _SHAPE_ARITHMETIC and of_shapes:
            continue
        if operator.kind not in _KNOWN:
            raise placed(graph, operator, _unknown(operator))
        if min(operator.inputs[: 2 if operator.kind in _WITH_BIAS else None], default=0) < 0:
            raise placed(graph, operator, ValueError(f"its {operator.kind} leaves out an input"))
        computed.add(operator.outputs[0])
        yield operator


def placed(graph: Graph, operator: Operator, error: ValueError) -> ValueError:
    """Return an error about an operator that says where it is."""
    name = next((graph.tensors[index].name for index in operator.outputs), "")
    # A converter joins the names of all that it has fused.
    name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
    return ValueError(f"{error} (operator {graph.operators.index(operator)}, which makes {name!r})")


def _check_size(graph: Graph, operators: Sequence[Operator]) -> None:
    constants = (graph.tensors[index].content.size for one in operators for index in one.inputs[1:] if index >= 0)
    if len(operators) > _MOST_OPERATORS or sum(constants) > MOST_WEIGHTS:
        raise ValueError(f"it has more than {_MOST_OPERATORS:,} operators, or {MOST_WEIGHTS >> 20} MB of weights")


@dataclass(frozen=True, eq=False, kw_only=True)
class Needed:
    """An operator that the output depends on."""

    operator: Operator
    reads: tuple[int, ...]
    """The tensors whose computed values it takes."""
    last: tuple[int, ...]
    """Those of them that nothing reads afterwards."""


def needed(graph: Graph) -> list[Needed]:
    """Return the operators that lead to the output, in the file's order.

    Raises ValueError where one is not known here or reads what has not been computed, and where the graph is too large.
    """
    if graph.tensors[graph.inputs[0]].constant:
        raise ValueError("its input is a constant")
    computed, found = {graph.inputs[0]}, []
    for operator in _computing(graph):
        terms = operator.inputs[: _terms(operator)]
        reads = tuple(index for index in terms if index in computed)
        others = [index for index in terms if index not in computed]
        if not reads or not all(index >= 0 and graph.tensors[index].constant for index in others):
            raise ValueError(f"its {operator.kind} does not follow the operator before it")
        target = operator.outputs[0]
        if target in computed or graph.tensors[target].constant:
            raise ValueError(f"its {operator.kind} writes to what is there already")
        computed.add(target)
        found.append((operator, reads))
    if graph.outputs[0] not in computed:
        raise ValueError("its last operator does not lead to the output")
    _check_size(graph, [operator for operator, _ in found])
    wanted, kept = {graph.outputs[0]}, []
    for operator, reads in reversed(found):
        if operator.outputs[0] in wanted:
            last = tuple(index for index in dict.fromkeys(reads) if index not in wanted)
            wanted.update(reads)
            kept.append(Needed(operator=operator, reads=reads, last=last))
    return kept[::-1]


def last_kind(plan: Sequence[Needed]) -> str:
    """Return the kind of the last operator that computes something; empty if there is none."""
    kinds = (one.operator.kind for one in reversed(plan))
    return next((kind for kind in kinds if kind not in {*EDGES, *RESHAPING, "TRANSPOSE"}), "")


@dataclass(frozen=True, eq=False, kw_only=True)
class Planned(Needed):
    """The same, ready to compute."""

    run: Callable[..., Quantized]


def plan(graph: Graph, rounding: Rounding = REFERENCE) -> tuple[list[Planned], int]:
    """Return what `needed` does, and how many numbers one input holds at most. Raises ValueError as it does."""
    planned = []
    for one in needed(graph):
        try:
            run = _run(graph, one.operator, rounding)
        except ValueError as error:
            raise placed(graph, one.operator, error) from error
        planned.append(Planned(operator=one.operator, reads=one.reads, last=one.last, run=run))
    return planned, held_at_once(graph, planned)


def _run(graph: Graph, operator: Operator, rounding: Rounding) -> Callable[..., Any]:
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind == "QUANTIZE" and source.dtype == "float32":
        return partial(quantized_reals, numbers_of(target))
    if operator.kind == "DEQUANTIZE":
        scale, zero_point = affine(source)
        return lambda values: np.float32(scale) * (values - zero_point).astype(np.float32)
    if operator.kind not in RESHAPING:
        return step(graph, operator, rounding)
    check_same_scale(operator, source, target)
    return lambda values: values


def quantized_reals(held: Numbers, reals: npt.NDArray[np.float32]) -> Quantized:
    """Return the nearest numbers that stand for reals, as QUANTIZE does: halves away from zero, computed in float32.

    Raises ValueError for NaN.
    """
    if np.isnan(reals).any():
        raise ValueError("inputs must not be NaN")
    steps, (low, high) = (reals / np.float32(held.scale)).astype(np.float64), BOUNDS[held.dtype.name]
    rounded: Quantized = (np.copysign(np.floor(np.abs(steps) + 0.5), steps) + held.zero_point).clip(low, high)
    return rounded.astype(np.int64)


def held_by(tensor: Tensor) -> Numbers:
    """Return how an input or output stands for real numbers: as they are, or as any activation does."""
    return Numbers(np.dtype(np.float32)) if tensor.dtype == "float32" else numbers_of(tensor)


def held_at_once(graph: Graph, plan: Sequence[Needed]) -> int:
    """Return how many numbers of one input are held at a time at most.

    Raises ValueError where they do not fit one another, or are too many, or take too many products.
    """
    sizes = {graph.inputs[0]: math.prod(graph.tensors[graph.inputs[0]].shape[1:])}
    most, products = sizes[graph.inputs[0]], 0
    for one in plan:
        operator = one.operator
        try:
            for index in one.reads:
                _check_fits(graph, operator, index, sizes[index])
            size, needed, meanwhile = _extent(graph, operator, sizes[one.reads[0]])
            _check_made(graph, operator, size)
        except ValueError as error:
            raise placed(graph, operator, error) from error
        products += needed
        sizes[operator.outputs[0]] = size
        most = max(most, sum(sizes.values()) + meanwhile)
        for index in one.last:
            del sizes[index]
    if most > _MOST_VALUES:
        raise ValueError(f"it holds {most:,} numbers at a time, and up to {_MOST_VALUES:,} are possible")
    if products > MOST_PRODUCTS:
        raise ValueError(f"it adds up {products:,} products for one input, and up to {MOST_PRODUCTS:,} are possible")
    return most


def _check_fits(graph: Graph, operator: Operator, index: int, count: int) -> None:
    """Raise ValueError where an operator that looks at the shape of an input is given another number of values."""
    shape = graph.tensors[index].shape[1:]
    if operator.kind in {*WINDOWED, *MOVING, *SCALING, "PRELU", "CONCATENATION"} and math.prod(shape) != count:
        raise ValueError(f"its {operator.kind} takes an image of {list(shape)}, which the layer before does not make")


def _check_made(graph: Graph, operator: Operator, made: int) -> None:
    """Raise ValueError where an operator's output has another shape than one input's numbers: others go by it."""
    shape = graph.tensors[operator.outputs[0]].shape
    if math.prod(1 if size == -1 else size for size in shape) != made:
        raise ValueError(f"its {operator.kind} leads to an array of {list(shape)}, and makes {made:,} numbers")


def _extent(graph: Graph, operator: Operator, inputs: int) -> tuple[int, int, int]:
    """Return how many numbers an operator makes of `inputs`, by how many products, and how many it holds meanwhile."""
    if operator.kind == "FULLY_CONNECTED":
        weights = graph.tensors[operator.inputs[1]]
        units, taken = weights.shape
        if taken < 1 or inputs % taken:
            raise ValueError(f"its layer {weights.name!r} has {taken} inputs, and there are {inputs}")
        return inputs // taken * units, inputs * units, 0
    made = math.prod(graph.tensors[operator.outputs[0]].shape[1:])
    if operator.kind in WINDOWED:
        window = window_of(graph, operator)
        covered, padded = window.kernel_height * window.kernel_width, math.prod(window.padded_sides)
        if operator.kind == "CONV_2D":
            return made, made * covered * graph.tensors[operator.inputs[1]].shape[3], padded * window.channels
        return made, made * covered, padded * made // (window.out_height * window.out_width)
    return (made if operator.kind in {*SCALING, *MOVING, "CONCATENATION"} else inputs), max(made, inputs), 0


def _unknown(operator: Operator) -> ValueError:
    return ValueError(f"it has the operator {operator.kind}, which is not known")


def step(graph: Graph, operator: Operator, rounding: Rounding) -> Callable[..., Quantized]:
    """Return what one operator does to the values of its inputs that are computed, int64 [N, ...] each.

    Raises ValueError for an operator that `needed` does not return.
    """
    dense_rescale, rescale = RESCALINGS[rounding.rescaling]
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind == "FULLY_CONNECTED":
        return _fully_connected(graph, operator, dense_rescale)
    if operator.kind in {*MOVING, "CONCATENATION"}:
        return moved(graph, operator)
    if operator.kind in WINDOWED:
        return windowed(graph, operator, rescale)
    if operator.kind == "SOFTMAX":
        beta = 1.0 if operator.options is None else float(operator.options.scalar(0, "f"))
        return _softmax(source, target, beta, rounding.softmax)
    if operator.kind in OF_TWO and not is_single(graph.tensors[operator.inputs[1]]):
        return _combined(graph, operator, rounding)
    table, lowest = elementwise(graph, operator, rounding), BOUNDS[source.dtype][0]
    return lambda values: table[values - lowest]


def elementwise(graph: Graph, operator: Operator, rounding: Rounding = REFERENCE) -> Quantized:
    """Return what an operator makes of each number of its type, from the lowest on, int64 [256].

    Raises ValueError for one that is not in `_ELEMENTWISE`, or that the reference kernels do not take.
    """
    if operator.kind not in _ELEMENTWISE:
        raise _unknown(operator)
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    (scale, zero_point), (target_scale, target_zero_point) = affine(source), affine(target)
    lowest, highest = BOUNDS[source.dtype]
    levels = np.arange(lowest, highest + 1, dtype=np.int64) - zero_point
    rescale, activation = RESCALINGS[rounding.rescaling][1], operator.activation
    if operator.kind == "RELU6" and rounding.in_double:
        # Kernels of microcontrollers take it for granted that the output has the input's scale.
        return np.clip(levels + zero_point, *activation_range(source, "relu6"))
    if operator.kind in OF_TWO:
        other = graph.tensors[operator.inputs[1]]
        if not is_single(other):
            raise ValueError(f"it has a {operator.kind} of more than a single number")
        numbers = _of_two(operator.kind, (levels, scale), _levels(other), target_scale, rounding)
    elif operator.kind in CUT:
        activation = CUT[operator.kind]
        in_double = rounding.in_double or operator.kind == "QUANTIZE"
        numbers = rescale(levels, *_multiplier(scale, over=target_scale, in_double=in_double, most=255))
    elif operator.kind == "LEAKY_RELU":
        slope = 0.0 if operator.options is None else float(operator.options.scalar(0, "f"))
        numbers = _leaking(levels, scale, (np.ones(1, np.int64), slope), target_scale, rounding)
    elif operator.kind == "HARD_SWISH":
        numbers = hard_swish(levels, scale, target_scale)
    else:
        by_tanh = operator.kind == "GELU" and operator.options is not None and operator.options.integer(0, "b")
        numbers = curved("GELU by TANH" if by_tanh else operator.kind, levels, scale, target_scale)
        if rounding.in_double and operator.kind != "GELU":
            # Kernels of microcontrollers compute the same numbers in Q4.27, and take what is beyond for infinite.
            radius = math.floor(15 / 2.0 ** math.frexp(scale)[1])
            numbers = np.where(levels >= radius, 256, numbers)
            numbers = np.where(levels <= -radius, -256, numbers)
    return np.clip(numbers + target_zero_point, *activation_range(target, activation))


def _multiplier(*scales: float, over: float, in_double: bool, most: int) -> tuple[int, int]:
    """Return a product of scales over another as a multiplier of numbers up to `most`.

    Raises ValueError where they leave 32 bits, in which the kernels shift them to the left.
    """
    mantissa, exponent = fixedpoint.quantized_multiplier(fixedpoint.ratio(*scales, over=over, in_double=in_double))
    if mantissa and most << max(exponent, 0) >= 2**31:
        raise ValueError(f"its output's scale, {over:g}, is so small that numbers leave 32 bits")
    return mantissa, exponent


def _leaking(
    levels: Quantized, scale: float, slopes: tuple[Quantized, float], target_scale: float, rounding: Rounding
) -> Quantized:
    """Return levels in the output's scale, those below 0 times slopes, which have a scale, too."""
    rescale = RESCALINGS[rounding.rescaling][1]
    above, below = multipliers_of_two("PRELU", (scale, slopes[1]), target_scale, rounding)
    return np.where(levels >= 0, rescale(levels, *above), rescale(levels * slopes[0], *below))


def is_single(tensor: Tensor) -> bool:
    """Return whether a tensor is a constant of one number."""
    return tensor.constant and tensor.values().size == 1


def _levels(constant: Tensor) -> tuple[Quantized, float]:
    """Return a constant's distances from its zero point, and their scale."""
    scale, zero_point = affine(constant)
    levels = constant.values().astype(np.int64) - zero_point
    return (levels.reshape(-1) if levels.size == 1 else levels), scale


def _combined(graph: Graph, operator: Operator, rounding: Rounding) -> Callable[..., Quantized]:
    """Return what takes the values of two tensors, or of the one that is no constant, to those of the output."""
    target = graph.tensors[operator.outputs[0]]
    tensors = [graph.tensors[index] for index in operator.inputs[:2]]
    if operator.kind == "PRELU" and not tensors[1].constant:
        raise ValueError("its PRELU has slopes that are computed")
    target_scale, target_zero_point = affine(target)
    low, high = activation_range(target, operator.activation)
    joined_shapes(graph, operator)
    constants = [_levels(tensor)[0] if tensor.constant else None for tensor in tensors]

    # Scales are refused here, and not when it is run.
    nothing = [(np.zeros(1, np.int64), affine(tensor)[0]) for tensor in tensors]
    _of_two(operator.kind, nothing[0], nothing[1], target_scale, rounding)

    def run(*values: Quantized) -> Quantized:
        given = iter(values)
        terms = []
        for tensor, constant in zip(tensors, constants, strict=True):
            scale, zero_point = affine(tensor)
            if constant is None:
                computed = next(given)
                terms.append((computed.reshape(len(computed), *tensor.shape[1:]) - zero_point, scale))
            else:
                terms.append((constant, scale))
        first, second = terms
        numbers = _of_two(operator.kind, first, second, target_scale, rounding)
        return np.clip(numbers + target_zero_point, low, high)

    return run


def joined_shapes(graph: Graph, operator: Operator) -> list[tuple[int, ...]]:
    """Return the shapes of what an operator in `SCALING` joins, with 1 for the batch where it is computed.

    Raises ValueError where they do not lead to the output's.
    """
    tensors, target = [graph.tensors[index] for index in operator.inputs[:2]], graph.tensors[operator.outputs[0]]
    shapes = [tensor.shape if tensor.constant else (1, *tensor.shape[1:]) for tensor in tensors]
    try:
        whole = np.broadcast_shapes(*shapes)
    except ValueError:
        whole = ()
    if whole != (1, *target.shape[1:]):
        raise ValueError(
            f"its {operator.kind} of {list(shapes[0])} and {list(shapes[1])} leads to an array of {list(target.shape)}"
        )
    return shapes


def _of_two(
    kind: str, first: tuple[Quantized, float], second: tuple[Quantized, float], target_scale: float, rounding: Rounding
) -> Quantized:
    """Return what an operator in `OF_TWO` makes of levels, each with its scale, in the output's scale."""
    (levels, scale), (other, other_scale) = first, second
    if kind == "PRELU":
        return _leaking(levels, scale, second, target_scale, rounding)
    multipliers = multipliers_of_two(kind, (scale, other_scale), target_scale, rounding)
    if kind == "MUL":
        return RESCALINGS[rounding.rescaling][1](levels * other, *multipliers[0])
    left, right = (sum_terms(term, ratio) for term, ratio in zip((levels, other), multipliers, strict=False))
    return fixedpoint.multiply_rounding_twice(left + right if kind == "ADD" else left - right, *multipliers[2])


def sum_terms(levels: Quantized, ratio: tuple[int, int]) -> Quantized:
    """Return what levels add to a sum. LiteRT's reference kernels round it twice, whatever they do elsewhere."""
    return fixedpoint.multiply_rounding_twice(levels << SUM_BITS, *ratio)


def multipliers_of_two(
    kind: str, scales: Sequence[float], target_scale: float, rounding: Rounding = REFERENCE
) -> list[tuple[int, int]]:
    """Return the (mantissa, exponent) of an operator in `OF_TWO`: of a product what takes it to the output's scale.

    Of a sum what takes either term to a common scale, and their sum to the output's; of a PRELU that of numbers above
    and below 0.
    """
    if kind in {"ADD", "SUB"}:
        common = 2 * max(scales)
        ratios = [fixedpoint.quantized_multiplier(scale / common) for scale in scales]
        # The kernels take no multiplier of 1 or more.
        return [*ratios, _multiplier(common, over=target_scale * 2**SUM_BITS, in_double=True, most=1 << 30)]
    factor = _multiplier(*scales, over=target_scale, in_double=rounding.in_double, most=255**2)
    if kind == "MUL":
        return [factor]
    return [_multiplier(scales[0], over=target_scale, in_double=rounding.in_double, most=255), factor]


def _fully_connected(graph: Graph, operator: Operator, rescale: Rescale) -> Step:
    sums = sums_of(graph, operator, rescale)
    exact = exact_matrix(sums.weights, graph.tensors[operator.inputs[0]])

    def run(values: Quantized) -> Quantized:
        rows = values.reshape(len(values), -1, len(exact)) - sums.zero
        made = sums.outputs((rows.astype(exact.dtype) @ exact).astype(np.int64), rescale)
        return made.reshape(len(values), -1)

    return run


def _softmax(source: Tensor, target: Tensor, beta: float, computed_in: str) -> Step:
    """Return values → exp(beta * scale * value) / Σ along the last axis, in steps of 1/256 from the lowest number on.

    Exponentials depend on the distances to the maximum of their row only, of which there are 256.
    """
    low, high = BOUNDS[target.dtype]
    shares = (_float_shares if computed_in == "float" else _integer_shares)(source, target, beta)

    def run(values: Quantized) -> Quantized:
        rows = values.reshape(len(values), -1, source.shape[-1])
        return np.clip(shares(rows.max(axis=-1, keepdims=True) - rows) + low, low, high)

    return run


def _integer_shares(source: Tensor, target: Tensor, beta: float) -> Step:
    exponentials = softmax_exponentials(source, target, beta)

    def run(distances: Quantized) -> Quantized:
        terms = exponentials[distances]
        total = fixedpoint.rounding_divide_by_power(terms, _ACCUMULATION_BITS).sum(axis=-1, keepdims=True)
        inverse, leading = fixedpoint.reciprocal(total)
        # From Q0.31 to steps of 1/256: 31 - 8 bits, and those that the sum is above 1.
        bits = _ACCUMULATION_BITS - leading + 31 - 8
        return fixedpoint.rounding_divide_by_power(fixedpoint.doubling_high_multiply(inverse, terms), bits)

    return run


def _float_shares(source: Tensor, _target: Tensor, beta: float) -> Step:
    """Return what LiteRT's optimized kernels compute, in float32, rounded once."""
    exponentials = np.exp(np.float32(-beta * affine(source)[0]) * np.arange(256, dtype=np.float32))

    def run(distances: Quantized) -> Quantized:
        terms = exponentials[distances]
        shares = terms * (np.float32(1 / _SOFTMAX_SCALE) / terms.sum(axis=-1, keepdims=True))
        rounded: Quantized = np.floor(shares + np.float32(0.5)).astype(np.int64)
        return rounded

    return run


def softmax_exponentials(source: Tensor, target: Tensor, beta: float) -> fixedpoint.Raw:
    """Return exp(beta * scale * -distance) in Q0.31 by distance from a row's maximum, int64 [256].

    Raises ValueError where the output of the SOFTMAX is not as the specification has it.
    """
    scale, _ = affine(source)
    target_scale, target_zero_point = affine(target)
    low, _ = BOUNDS[target.dtype]
    if source.shape[-1] > _MOST_TERMS:
        raise ValueError(f"its SOFTMAX has {source.shape[-1]:,} inputs, and up to {_MOST_TERMS:,} are possible")
    if target_scale != _SOFTMAX_SCALE or target_zero_point != low:
        raise ValueError("the output of its SOFTMAX has another scale than 1/256")
    real = min(beta * scale * 2.0 ** (31 - _DIFFERENCE_BITS), 2.0**30 - 1.0)
    if not real > 1:
        raise ValueError(f"the scale of its SOFTMAX, {beta * scale:g}, is too small for fixed point")
    mantissa, shift = fixedpoint.quantized_multiplier(real)
    radius = math.floor((2**_DIFFERENCE_BITS - 1) * 2 ** (31 - _DIFFERENCE_BITS) / 2**shift)
    distances = np.arange(256, dtype=np.int64)
    # What is further away than the exponential's range counts as 0.
    near = np.minimum(distances, radius)
    rescaled = fixedpoint.doubling_high_multiply(-near << shift, mantissa)
    return np.where(distances <= radius, fixedpoint.exp_on_negative_values(rescaled), 0)
