"""A NumPy reference of full-int8 TFLite graphs: the third voter where two runtimes disagree.

Written from TFLite's 8-bit quantization specification (https://ai.google.dev/edge/litert/models/quantization_spec)
and the arithmetic of its reference kernels: int8 activations with one scale, int8 weights with one scale or one a
channel, int32 accumulators, rescaled in fixed point. Equal to LiteRT's own reference kernels bit for bit; the optimized
ones differ by one step in the softmax, which they compute in float32. Needs NumPy alone, so it also answers where no
runtime has a wheel, such as on 32-bit ARM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ArtifactError
from edgemnist.runtimes import fixedpoint
from edgemnist.runtimes.files import TFLITE, read_model
from edgemnist.runtimes.interface import ChunkedClassifier, not_a_classifier
from edgemnist.runtimes.pixels import Numbers, covered_range, decoder, quantize_pixels
from edgemnist.runtimes.tflite import Graph, Operator, Tensor, read_graph

if TYPE_CHECKING:
    from edgemnist.arrays import Images, Probabilities

Quantized: TypeAlias = npt.NDArray[np.int64]
"""int64 [N, features], holding the values of a quantized tensor."""
Step: TypeAlias = Callable[[Quantized], Quantized]
Rescale: TypeAlias = Callable[[fixedpoint.Raw, "fixedpoint.Raw | int", "fixedpoint.Raw | int"], fixedpoint.Raw]
"""Values times a multiplier, (mantissa, exponent), as integers."""

RESCALINGS: Final[dict[str, Rescale]] = {
    "single": fixedpoint.multiply_by_quantized_multiplier,
    "double": fixedpoint.multiply_rounding_twice,
    "float": fixedpoint.multiply_in_float,
}
"""How kernels round sums of products to the next layer's scale."""
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

_BOUNDS = {"int8": (-128, 127), "uint8": (0, 255)}
_SHAPE_ARITHMETIC = frozenset({"SHAPE", "STRIDED_SLICE", "PACK"})
"""They compute the batch size for RESHAPE, which is always the number of images here."""
_RESHAPING = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_KNOWN = ("FULLY_CONNECTED", "RELU", "SOFTMAX", "QUANTIZE", *sorted(_RESHAPING))

_ACCUMULATION_BITS = 12
"""The softmax adds up exponentials in Q12.19."""
_DIFFERENCE_BITS = 5
"""It takes the exponential of differences in Q5.26."""
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
        self._steps = [_step(graph, operator, rounding) for operator in chain(graph)]
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
        is not a chain of fully connected layers, ReLU, softmax and requantization in 8 bits.
        """
        del threads
        data = read_model(path, TFLITE)
        try:
            return cls(read_graph(data), path, labels=labels, input_range=input_range, rounding=rounding)
        except (ValueError, LookupError, ArithmeticError) as error:
            # Whatever a graph makes of its computation that refers to tensors which it does not have.
            raise ArtifactError(
                f"{path} cannot be computed in integers: {error}",
                hint="The integer runtime takes full-int8 TFLite files of dense layers, such as tflite-int8.",
            ) from error

    def quantized(self, images: Images) -> npt.NDArray[np.int64]:
        """Return the values of the output tensor, int64 [N, C], for at most a few thousand images."""
        values = self._encode[images.reshape(-1, IMAGE_SIDE**2)]
        for step in self._steps:
            values = step(values)
        return values

    def _scores(self, images: Images) -> Probabilities:
        return self._decode(self.quantized(images).astype(self._output.dtype).view(np.uint8))


def chain(graph: Graph) -> list[Operator]:
    """Return the operators that compute, from the input to the output.

    Raises ValueError where the graph is no chain, or has an operator that is not known here.
    """
    operators: list[Operator] = []
    current = graph.inputs[0]
    for operator in graph.operators:
        if operator.kind in _SHAPE_ARITHMETIC:
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
    return operators


def _step(graph: Graph, operator: Operator, rounding: Rounding) -> Step:
    rescale = RESCALINGS[rounding.rescaling]
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind == "FULLY_CONNECTED":
        weights = graph.tensors[operator.inputs[1]]
        bias = graph.tensors[operator.inputs[2]] if operator.inputs[2:3] not in {(), (-1,)} else None
        return _fully_connected(source, weights, bias, target, operator.activation, rescale)
    if operator.kind == "SOFTMAX":
        beta = 1.0 if operator.options is None else float(operator.options.scalar(0, "f"))
        return (_float_softmax if rounding.softmax == "float" else _softmax)(source, target, beta)
    return requantize(source, target, relu=operator.kind == "RELU", rescale=rescale)


def _fully_connected(  # noqa: PLR0917 - the operator's tensors in its own order
    source: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    target: Tensor,
    activation: str,
    rescale: Rescale = RESCALINGS["single"],
) -> Step:
    """Return values → activation(weights · (values - zero point) + bias), rescaled to the output's scale."""
    matrix = weight_matrix(weights).astype(np.int64)
    _, zero_point = affine(source)
    _, target_zero_point = affine(target)
    mantissa, exponent = multipliers(source, weights, target)
    low, high = activation_range(target, activation)
    constant = 0 if bias is None else bias.values().astype(np.int64)
    exact = _exact_matrix(matrix, source)

    def run(values: Quantized) -> Quantized:
        product = ((values - zero_point).astype(exact.dtype) @ exact).astype(np.int64) + constant
        rescaled = rescale(product, mantissa, exponent)
        return np.clip(rescaled + target_zero_point, low, high)

    return run


def weight_matrix(weights: Tensor) -> npt.NDArray[np.int8]:
    """Return the weights of a FULLY_CONNECTED, int8 [outputs, inputs]. Raises ValueError for another kind."""
    if weights.dtype != "int8" or not weights.constant or weights.zero_points.any() or len(weights.shape) != 2:  # noqa: PLR2004
        raise ValueError("the weights of a FULLY_CONNECTED are not a constant matrix of symmetric int8")
    if weights.scales.size not in {1, weights.shape[0]} or not np.all(np.isfinite(weights.scales)):
        raise ValueError("the weights of a FULLY_CONNECTED do not have one finite scale, or one for each output")
    return np.asarray(weights.values(), dtype=np.int8)


def multipliers(source: Tensor, weights: Tensor, target: Tensor) -> tuple[fixedpoint.Raw, fixedpoint.Raw]:
    """Return what takes sums of products to the output's scale, (mantissas, exponents) as `fixedpoint` has them."""
    scale, target_scale = affine(source)[0], affine(target)[0]
    effective = [scale * float(one) / target_scale for one in weights.scales]
    mantissa, exponent = np.array([fixedpoint.quantized_multiplier(real) for real in effective], dtype=np.int64).T
    return mantissa, exponent


def _exact_matrix(matrix: npt.NDArray[np.int64], source: Tensor) -> npt.NDArray[np.floating]:
    """Return the transposed weights in the float type in which every sum of products is exact.

    NumPy multiplies integer matrices without BLAS, 50 times slower. Floats hold every integer up to 2^24 or 2^53, so
    as long as no partial sum can leave that range, their products are the integers', in whatever order they are added.
    """
    _, zero_point = affine(source)
    low, high = _BOUNDS[source.dtype]
    largest = max(high - zero_point, zero_point - low) * np.abs(matrix).sum(axis=1).max()
    return np.ascontiguousarray(matrix.T).astype(np.float32 if largest < 2**24 else np.float64)


def _softmax(source: Tensor, target: Tensor, beta: float) -> Step:
    """Return values → exp(beta * scale * value) / Σ, in fixed point.

    A row's exponentials depend on its distances to its maximum only, of which there are 256.
    """
    low, high = _BOUNDS[target.dtype]
    exponentials = softmax_exponentials(source, target, beta)

    def run(values: Quantized) -> Quantized:
        terms = exponentials[values.max(axis=1, keepdims=True) - values]
        total = fixedpoint.rounding_divide_by_power(terms, _ACCUMULATION_BITS).sum(axis=1, keepdims=True)
        inverse, leading = fixedpoint.reciprocal(total)
        # From Q0.31 to steps of 1/256: 31 - 8 bits, and those that the sum is above 1.
        shares = fixedpoint.rounding_divide_by_power(
            fixedpoint.doubling_high_multiply(inverse, terms), _ACCUMULATION_BITS - leading + 31 - 8
        )
        return np.clip(shares + low, low, high)

    return run


def _float_softmax(source: Tensor, target: Tensor, beta: float) -> Step:
    """Return values → exp(beta * scale * value) / Σ in float32, rounded once, as LiteRT's optimized kernels have it."""
    low, high = _BOUNDS[target.dtype]
    scale, _ = affine(source)
    exponentials = np.exp(np.float32(-beta * scale) * np.arange(256, dtype=np.float32))

    def run(values: Quantized) -> Quantized:
        terms = exponentials[values.max(axis=1, keepdims=True) - values]
        shares = terms * (np.float32(1 / _SOFTMAX_SCALE) / terms.sum(axis=1, keepdims=True))
        rounded: Quantized = np.floor(shares + np.float32(0.5)).astype(np.int64)
        return np.clip(rounded + low, low, high)

    return run


def softmax_exponentials(source: Tensor, target: Tensor, beta: float) -> fixedpoint.Raw:
    """Return exp(beta * scale * -distance) in Q0.31 by distance from a row's maximum, int64 [256].

    Raises ValueError where the output of the SOFTMAX is not as the specification has it.
    """
    scale, _ = affine(source)
    target_scale, target_zero_point = affine(target)
    low, _ = _BOUNDS[target.dtype]
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


def requantize(source: Tensor, target: Tensor, *, relu: bool, rescale: Rescale = RESCALINGS["single"]) -> Step:
    """Return values → the same real numbers in another scale, with a ReLU or without."""
    (scale, zero_point), (target_scale, target_zero_point) = affine(source), affine(target)
    mantissa, exponent = fixedpoint.quantized_multiplier(scale / target_scale)
    low, high = activation_range(target, "relu" if relu else "none")

    def run(values: Quantized) -> Quantized:
        rescaled = rescale(values - zero_point, mantissa, exponent)
        return np.clip(rescaled + target_zero_point, low, high)

    return run


def activation_range(target: Tensor, activation: str) -> tuple[int, int]:
    """Return the lowest and the highest quantized value that a fused activation leaves."""
    scale, zero_point = affine(target)
    low, high = _BOUNDS[target.dtype]
    ranges = {"none": (-math.inf, math.inf), "relu": (0.0, math.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}
    if activation not in ranges:
        raise ValueError(f"it has a fused {activation}")
    real_low, real_high = ranges[activation]
    if real_low > -math.inf:
        low = max(low, zero_point + int(_round(np.float64(real_low / scale))))
    if real_high < math.inf:
        high = min(high, zero_point + int(_round(np.float64(real_high / scale))))
    return low, high


def numbers_of(tensor: Tensor) -> Numbers:
    """Return how an activation stands for real numbers."""
    if tensor.dtype not in _BOUNDS or tensor.scales.size != 1:
        raise ValueError(f"its tensor {tensor.name!r} is {tensor.dtype}, not quantized to 8 bits")
    low, high = _BOUNDS[tensor.dtype]
    if not 0 < float(tensor.scales[0]) < math.inf:
        raise ValueError(f"the scale of its tensor {tensor.name!r} is {float(tensor.scales[0])}")
    if tensor.zero_points.size != 1 or not low <= int(tensor.zero_points[0]) <= high:
        raise ValueError(f"the zero point of its tensor {tensor.name!r} is no {tensor.dtype}")
    return Numbers(np.dtype(tensor.dtype), float(tensor.scales[0]), int(tensor.zero_points[0]))


def affine(tensor: Tensor) -> tuple[float, int]:
    """Return scale and zero point of an activation."""
    numbers = numbers_of(tensor)
    return float(tensor.scales[0]), numbers.zero_point


def _round(values: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    """Round halves away from zero, as C does."""
    return np.asarray(np.copysign(np.floor(np.abs(values) + 0.5), values))
