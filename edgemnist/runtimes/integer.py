"""A NumPy reference of full-int8 TFLite graphs: the third voter where two runtimes disagree.

Written from TFLite's 8-bit quantization specification (https://ai.google.dev/edge/litert/models/quantization_spec)
and the arithmetic of its reference kernels: int8 activations with one scale, int8 weights with one scale or one a
channel, int32 accumulators, rescaled in fixed point. Equal to LiteRT's own reference kernels bit for bit; the optimized
ones differ by one step in the softmax, which they compute in float32. Needs NumPy alone, so it also answers where no
runtime has a wheel, such as on 32-bit ARM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ArtifactError
from edgemnist.runtimes import fixedpoint
from edgemnist.runtimes.fixedpoint import (
    BOUNDS,
    Quantized,
    Rescale,
    Step,
    activation_range,
    affine,
    bias_of,
    exact_matrix,
    multipliers,
    numbers_of,
    weight_matrix,
)
from edgemnist.runtimes.interface import ChunkedClassifier, not_a_classifier
from edgemnist.runtimes.pixels import covered_range, decoder, quantize_pixels
from edgemnist.runtimes.tflite import Graph, Operator, Tensor, read_graph_file

if TYPE_CHECKING:
    from edgemnist.arrays import Images, Probabilities

RESCALINGS: Final[dict[str, tuple[Rescale, Rescale]]] = {
    "single": (fixedpoint.multiply_by_quantized_multiplier, fixedpoint.multiply_rounding_twice),
    "double": (fixedpoint.multiply_rounding_twice, fixedpoint.multiply_rounding_twice),
    "float": (fixedpoint.multiply_in_float, fixedpoint.multiply_in_float),
}
"""How kernels round sums of products to the next layer's scale: after dense layers, and after convolutions and means.

LiteRT's reference kernels, `single`, round once after the former and twice after the latter, which do not share their
code.
"""
SOFTMAXES: Final = ("integer", "float")
"""What kernels compute the int8 softmax in."""


@dataclass(frozen=True)
class Rounding:
    """A rule by which int8 kernels round. The default is the reference's."""

    rescaling: str = "single"
    """One of `RESCALINGS`."""
    softmax: str = "integer"
    """One of `SOFTMAXES`."""


_REFERENCE: Final = Rounding()

_SHAPE_ARITHMETIC = frozenset({"SHAPE", "STRIDED_SLICE", "PACK"})
"""They compute the batch size for RESHAPE, which is always the number of images here; a STRIDED_SLICE of images crops
them."""
_RESHAPING = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
WINDOWED: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "STRIDED_SLICE")
"""What slides a window over an image; see `runtimes.windows`, which networks of dense layers do without."""
SCALING: Final = ("MUL", "ADD", "SUB")
"""Known with a single number, which scales pixels, say."""
_KNOWN = ("FULLY_CONNECTED", *WINDOWED, "RELU", "SOFTMAX", "QUANTIZE", *SCALING, *sorted(_RESHAPING))

_TAKES = (
    "The integer runtime takes full-int8 TFLite files of dense layers, convolutions and pooling, such as tflite-int8."
)

_MOST_OPERATORS: Final = 2000
"""Of a chain, as of the layers of a Keras model."""
_MOST_WEIGHTS: Final = 1 << 24
"""Bytes of all constants of a chain. Operators may share them, so that a small file would be gigabytes here."""
_ACCUMULATION_BITS = 12
"""The softmax adds up exponentials in Q12.19."""
_DIFFERENCE_BITS = 5
"""It takes the exponential of differences in Q5.26."""
_SUM_BITS = 20
"""ADD and SUB take numbers with so many bits more."""
_SOFTMAX_SCALE = 1 / 256
"""Of the int8 softmax's output, by the specification; its zero point is the lowest value."""


class IntegerClassifier(ChunkedClassifier):
    """A full-int8 `.tflite` file, computed in integers."""

    def __init__(
        self,
        graph: Graph,
        path: Path,
        *,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
        rounding: Rounding = _REFERENCE,
    ) -> None:
        """`graph` is the contents of the file, `path` its name in messages.

        Raises ValueError, with a few words, for a graph that cannot be computed in integers.
        """
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ValueError("it has more than one input or output")
        source, target = (graph.tensors[index] for index in (*graph.inputs, *graph.outputs))
        if math.prod(size for size in source.shape if size > 0) != IMAGE_SIDE**2:
            raise not_a_classifier(path, f"its input is an array of {list(source.shape)}")
        numbers = numbers_of(source)
        self._encode = quantize_pixels(numbers, input_range or covered_range(numbers)).astype(np.int64)
        self._steps = [step(graph, operator, rounding) for operator in chain(graph)]
        self._output = numbers_of(target)
        self._decode = decoder(self._output)
        self._set_up(path, labels)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
        rounding: Rounding = _REFERENCE,
    ) -> IntegerClassifier:
        """Read a full-int8 TFLite file; see `Classifier.load`.

        `threads` makes no difference: NumPy's BLAS has a setting of its own. `rounding` is the reference's, or that of
        other kernels. Raises ArtifactError, too, where the file
        is not a chain of the operators in `_KNOWN` in 8 bits.
        """
        del threads
        graph = read_graph_file(path)
        try:
            return cls(graph, path, labels=labels, input_range=input_range, rounding=rounding)
        except (ValueError, LookupError, ArithmeticError) as error:
            # Whatever a graph makes of its computation that refers to tensors which it does not have.
            raise ArtifactError(f"{path} cannot be computed in integers: {error}", hint=_TAKES) from error

    def quantized(self, images: Images) -> npt.NDArray[np.int64]:
        """Return the values of the output tensor, int64 [N, C], for at most a few thousand images."""
        values = self._encode[images.reshape(-1, IMAGE_SIDE**2)]
        for step in self._steps:
            values = step(values)
        return values.reshape(len(values), -1)

    def _scores(self, images: Images) -> Probabilities:
        return self._decode(self.quantized(images).astype(self._output.dtype).view(np.uint8))


def chain(graph: Graph) -> list[Operator]:
    """Return the operators that compute, from the input to the output.

    Raises ValueError where the graph is no chain, has an operator that is not known here, or is too large.
    """
    operators: list[Operator] = []
    current = graph.inputs[0]
    for operator in graph.operators:
        if operator.kind in _SHAPE_ARITHMETIC and (operator.kind, operator.inputs[0]) != ("STRIDED_SLICE", current):
            continue
        if operator.kind not in _KNOWN:
            raise ValueError(f"it has the operator {operator.kind}, and only {', '.join(_KNOWN)} are known")
        if operator.inputs[0] != current:
            raise ValueError(f"its {operator.kind} does not follow the operator before it")
        current = operator.outputs[0]
        if operator.kind not in _RESHAPING:
            operators.append(operator)
    if current != graph.outputs[0]:
        raise ValueError("its last operator does not lead to the output")
    constants = (graph.tensors[index].content.size for one in operators for index in one.inputs[1:] if index >= 0)
    if len(operators) > _MOST_OPERATORS or sum(constants) > _MOST_WEIGHTS:
        raise ValueError(f"it has more than {_MOST_OPERATORS:,} operators, or {_MOST_WEIGHTS >> 20} MB of weights")
    return operators


def step(graph: Graph, operator: Operator, rounding: Rounding) -> Step:
    """Return what one operator of a chain does to the values of its input, int64 [N, ...]."""
    rescale, windowed_rescale = RESCALINGS[rounding.rescaling]
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind == "FULLY_CONNECTED":
        weights = graph.tensors[operator.inputs[1]]
        bias = bias_of(graph, operator, weights.shape[0])
        return _fully_connected(source, weights, bias, target, operator.activation, rescale)
    if operator.kind in WINDOWED:
        from edgemnist.runtimes.windows import windowed

        return windowed(graph, operator, windowed_rescale)
    if operator.kind == "SOFTMAX":
        beta = 1.0 if operator.options is None else float(operator.options.scalar(0, "f"))
        return (_float_softmax if rounding.softmax == "float" else _softmax)(source, target, beta)
    return elementwise(graph, operator, rescale)


def elementwise(
    graph: Graph, operator: Operator, rescale: Rescale = fixedpoint.multiply_by_quantized_multiplier
) -> Step:
    """Return what an operator does to each number, whatever the others are: RELU, QUANTIZE, or one of `SCALING`."""
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind not in SCALING:
        return requantize(source, target, relu=operator.kind == "RELU", rescale=rescale)
    other = graph.tensors[operator.inputs[1]]
    if not other.constant or other.values().size != 1:
        raise ValueError(f"it has a {operator.kind} of more than a single number")
    number = int(other.values().astype(np.int64).reshape(-1)[0]) - affine(other)[1]
    (scale, zero_point), (target_scale, target_zero_point) = affine(source), affine(target)
    other_scale = affine(other)[0]
    lowest, highest = BOUNDS[source.dtype]
    levels = np.arange(lowest, highest + 1, dtype=np.int64) - zero_point
    if operator.kind == "MUL":
        found = rescale(levels * number, *fixedpoint.quantized_multiplier(scale * other_scale / target_scale))
    else:
        # LiteRT's reference kernels round each of these twice, whatever they do elsewhere.
        common = 2 * max(scale, other_scale)
        first, second = (
            fixedpoint.multiply_rounding_twice(term << _SUM_BITS, *fixedpoint.quantized_multiplier(one / common))
            for term, one in ((levels, scale), (np.array(number), other_scale))
        )
        back = fixedpoint.quantized_multiplier(common / (target_scale * 2**_SUM_BITS))
        total = first + second if operator.kind == "ADD" else first - second
        found = fixedpoint.multiply_rounding_twice(total, *back)
    low, high = activation_range(target, operator.activation)
    table = np.clip(found + target_zero_point, low, high)
    return lambda values: table[values - lowest]


def _fully_connected(  # noqa: PLR0917 - the operator's tensors in its own order
    source: Tensor,
    weights: Tensor,
    bias: npt.NDArray[np.int64],
    target: Tensor,
    activation: str,
    rescale: Rescale,
) -> Step:
    """Return values → activation(weights · (values - zero point) + bias), rescaled to the output's scale."""
    matrix = weight_matrix(weights).astype(np.int64)
    _, zero_point = affine(source)
    _, target_zero_point = affine(target)
    mantissa, exponent = multipliers(source, weights, target)
    low, high = activation_range(target, activation)
    exact = exact_matrix(matrix, source)

    def run(values: Quantized) -> Quantized:
        flat = values.reshape(len(values), -1)
        product = ((flat - zero_point).astype(exact.dtype) @ exact).astype(np.int64) + bias
        rescaled = rescale(product, mantissa, exponent)
        return np.clip(rescaled + target_zero_point, low, high)

    return run


def _softmax(source: Tensor, target: Tensor, beta: float) -> Step:
    """Return values → exp(beta * scale * value) / Σ, in fixed point.

    Rows are along the last axis. A row's exponentials depend on its distances to its maximum only, of which there are
    256.
    """
    low, high = BOUNDS[target.dtype]
    width = source.shape[-1]
    exponentials = softmax_exponentials(source, target, beta)

    def run(values: Quantized) -> Quantized:
        rows = values.reshape(len(values), -1, width)
        terms = exponentials[rows.max(axis=-1, keepdims=True) - rows]
        total = fixedpoint.rounding_divide_by_power(terms, _ACCUMULATION_BITS).sum(axis=-1, keepdims=True)
        inverse, leading = fixedpoint.reciprocal(total)
        # From Q0.31 to steps of 1/256: 31 - 8 bits, and those that the sum is above 1.
        shares = fixedpoint.rounding_divide_by_power(
            fixedpoint.doubling_high_multiply(inverse, terms), _ACCUMULATION_BITS - leading + 31 - 8
        )
        return np.clip(shares + low, low, high)

    return run


def _float_softmax(source: Tensor, target: Tensor, beta: float) -> Step:
    """Return values → exp(beta * scale * value) / Σ in float32, rounded once, as LiteRT's optimized kernels have it."""
    low, high = BOUNDS[target.dtype]
    scale, _ = affine(source)
    width = source.shape[-1]
    exponentials = np.exp(np.float32(-beta * scale) * np.arange(256, dtype=np.float32))

    def run(values: Quantized) -> Quantized:
        rows = values.reshape(len(values), -1, width)
        terms = exponentials[rows.max(axis=-1, keepdims=True) - rows]
        shares = terms * (np.float32(1 / _SOFTMAX_SCALE) / terms.sum(axis=-1, keepdims=True))
        rounded: Quantized = np.floor(shares + np.float32(0.5)).astype(np.int64)
        return np.clip(rounded + low, low, high)

    return run


def softmax_exponentials(source: Tensor, target: Tensor, beta: float) -> fixedpoint.Raw:
    """Return exp(beta * scale * -distance) in Q0.31 by distance from a row's maximum, int64 [256].

    Raises ValueError where the output of the SOFTMAX is not as the specification has it.
    """
    scale, _ = affine(source)
    target_scale, target_zero_point = affine(target)
    low, _ = BOUNDS[target.dtype]
    if target_scale != _SOFTMAX_SCALE or target_zero_point != low:
        raise ValueError("the output of its SOFTMAX has another scale than 1/256")
    real = min(beta * scale * 2.0 ** (31 - _DIFFERENCE_BITS), 2.0**30 - 1.0)
    mantissa, shift = fixedpoint.quantized_multiplier(real)
    radius = math.floor((2**_DIFFERENCE_BITS - 1) * 2 ** (31 - _DIFFERENCE_BITS) / 2**shift)
    distances = np.arange(256, dtype=np.int64)
    # What is further away than the exponential's range counts as 0.
    near = np.minimum(distances, radius)
    rescaled = fixedpoint.doubling_high_multiply(-near << shift, mantissa)
    return np.where(distances <= radius, fixedpoint.exp_on_negative_values(rescaled), 0)


def requantize(
    source: Tensor, target: Tensor, *, relu: bool, rescale: Rescale = fixedpoint.multiply_by_quantized_multiplier
) -> Step:
    """Return values → the same real numbers in another scale, with a ReLU or without."""
    (scale, zero_point), (target_scale, target_zero_point) = affine(source), affine(target)
    mantissa, exponent = fixedpoint.quantized_multiplier(scale / target_scale)
    low, high = activation_range(target, "relu" if relu else "none")

    def run(values: Quantized) -> Quantized:
        rescaled = rescale(values - zero_point, mantissa, exponent)
        return np.clip(rescaled + target_zero_point, low, high)

    return run
