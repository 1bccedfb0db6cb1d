"""Full-int8 numbers: what tensors stand for, checked, and the fixed-point arithmetic of TFLite's reference kernels.

The NumPy reference and the native engine read a file by these functions, and so in one way.

A number in Qm.n is an int32 that stands for itself / 2^n, with m bits before the point and 31 = m + n. The operations
and constants are those of gemmlowp's `fixedpoint/fixedpoint.h` and of TFLite's `MultiplyByQuantizedMultiplier`, which
the quantized kernels are specified with; everything is computed in int64 here, so nothing wraps on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes.pixels import Numbers
from edgemnist.model.runtimes.tflite import Graph, Operator, Tensor

Raw: TypeAlias = npt.NDArray[np.int64]
"""int64, holding int32 values."""

_HIGHEST = 2**31 - 1
_LOWEST = -(2**31)

_EXP_INTEGER_BITS = 5
"""exp() takes Q5.26: -32 to 0."""
_ONE_THIRD = 715_827_883
_EXP_MINUS_EIGHTH = 1_895_147_668
"""1/3 and exp(-1/8), Q0.31."""
_EXP_OF_POWERS = {
    -2: 1_672_461_947,
    -1: 1_302_514_674,
    0: 790_015_084,
    1: 290_630_308,
    2: 39_332_535,
    3: 720_401,
    4: 242,
}
"""exp(-2^k), Q0.31, by k."""
_48_OVER_17 = 1_515_870_810
_MINUS_32_OVER_17 = -1_010_580_540
"""The start of Newton's division that has the smallest error over 0.5 to 1, Q2.29."""
_NEWTON_STEPS = 3


def quantized_multiplier(real: float) -> tuple[int, int]:
    """Return a positive real number as (mantissa, exponent): mantissa / 2^31 * 2^exponent, mantissa in int32."""
    fraction, exponent = math.frexp(real)
    # Halves away from zero, as C's round() has it.
    mantissa = math.floor(fraction * 2**31 + 0.5)
    if mantissa == 2**31:
        mantissa, exponent = 2**30, exponent + 1
    if exponent > 30:  # noqa: PLR2004 - the largest there is, with single rounding
        return _HIGHEST, 30
    # Shifting an int32 by more than 31 leaves nothing of it.
    return (0, 0) if exponent < -31 else (mantissa, exponent)  # noqa: PLR2004


def ratio(*scales: float, over: float, in_double: bool) -> float:
    """Return a product of scales over another, each step rounded to float32 unless it is computed `in_double`.

    Raises ValueError where that is no finite number.
    """
    kind = np.float64 if in_double else np.float32
    with np.errstate(over="ignore", under="ignore"):
        quotient = float(np.prod(np.array(scales, kind)) / kind(over))
    if not quotient < math.inf:
        raise ValueError("a ratio of its scales is beyond float32")
    return quotient


def multiply_by_quantized_multiplier(values: Raw, mantissa: Raw | int, exponent: Raw | int) -> Raw:
    """Return `values` times mantissa / 2^31 * 2^exponent, rounded once, halves up, as LiteRT's reference kernels do.

    `mantissa` and `exponent` are scalars, or have one entry for each column.
    """
    shift = np.asarray(31 - exponent, dtype=np.int64)
    rescaled: Raw = (values * mantissa + (np.int64(1) << (shift - 1))) >> shift
    return rescaled


def multiply_rounding_twice(values: Raw, mantissa: Raw | int, exponent: Raw | int) -> Raw:
    """Return the same product rounded twice, as gemmlowp has it: to 31 bits, halves up, then halves away from zero.

    The default of TensorFlow Lite for Microcontrollers and of CMSIS-NN (`TFLITE_SINGLE_ROUNDING=0`).
    """
    exponent = np.asarray(exponent, dtype=np.int64)
    # A shift to the left leaves nothing to round a second time; done first, it might leave 64 bits.
    once = multiply_by_quantized_multiplier(values, mantissa, np.maximum(exponent, 0))
    twice = rounding_divide_by_power(doubling_high_multiply(values, mantissa), np.maximum(-exponent, 0))
    return np.where(exponent > 0, once, twice)


def multiply_in_float(values: Raw, mantissa: Raw | int, exponent: Raw | int) -> Raw:
    """Return the same product computed in float32 and rounded once, halves to even, as XNNPACK has it."""
    scale = np.ldexp(np.asarray(mantissa, dtype=np.float64), np.asarray(exponent, dtype=np.int64) - 31)
    rounded: Raw = np.rint(values.astype(np.float32) * scale.astype(np.float32)).astype(np.int64)
    return rounded


def doubling_high_multiply(values: Raw, factor: Raw | int) -> Raw:
    """Return round(values * factor / 2^31), halves up, saturated: the product of two Q0.31 numbers."""
    product: Raw = (values * factor + (1 << 30)) >> 31
    return np.minimum(product, _HIGHEST)


def rounding_divide_by_power(values: Raw, exponent: Raw | int) -> Raw:
    """Return values / 2^exponent, rounded to the nearest, halves away from zero."""
    mask = (np.int64(1) << np.asarray(exponent, dtype=np.int64)) - 1
    threshold = (mask >> 1) + (values < 0)
    quotient: Raw = (values >> exponent) + ((values & mask) > threshold)
    return quotient


def saturating_shift_left(values: Raw, bits: int) -> Raw:
    """Return values * 2^bits, kept within int32."""
    shifted: Raw = np.clip(values << bits, _LOWEST, _HIGHEST)
    return shifted


def exp_on_negative_values(values: Raw) -> Raw:
    """Return exp of numbers in Q5.26 that are at most 0, in Q0.31.

    A Taylor series around -1/8 serves the part between -1/4 and 0, and one multiplication by a constant each bit above.
    """
    fraction_bits = 31 - _EXP_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    within = (values & (quarter - 1)) - quarter
    result = _exp_within_quarter(within << _EXP_INTEGER_BITS)
    above = within - values
    for power, constant in _EXP_OF_POWERS.items():
        has_bit = above & (1 << (fraction_bits + power))
        result = np.where(has_bit != 0, doubling_high_multiply(result, constant), result)
    return np.where(values == 0, _HIGHEST, result)


def _exp_within_quarter(values: Raw) -> Raw:
    """Return exp of numbers in Q0.31 from -1/4 up to 0."""
    x = values + (1 << 28)
    x2 = doubling_high_multiply(x, x)
    x3 = doubling_high_multiply(x2, x)
    x4 = doubling_high_multiply(x2, x2)
    cubic = doubling_high_multiply(rounding_divide_by_power(x4, 2) + x3, _ONE_THIRD)
    series = x + rounding_divide_by_power(cubic + x2, 1)
    return _EXP_MINUS_EIGHTH + doubling_high_multiply(series, _EXP_MINUS_EIGHTH)


def reciprocal(values: Raw) -> tuple[Raw, Raw]:
    """Return (r, s) for positive int32 numbers: 1/value is r / 2^31 / 2^(31 - s), s being the leading zero bits.

    The value, shifted until its highest bit is set, is 1 + x with x in Q0.31; r is 1 / (1 + x).
    """
    # frexp gives the position of the highest set bit: exact, as a double holds every int32.
    leading = 32 - np.frexp(values.astype(np.float64))[1].astype(np.int64)
    return _one_over_one_plus((values << leading) - (1 << 31)), leading


def _one_over_one_plus(x: Raw) -> Raw:
    """Return 1 / (1 + x) for x in Q0.31 from 0 to 1: Newton's division by (1 + x) / 2, in Q2.29."""
    half_denominator = (x + _HIGHEST + 1) >> 1
    unit = 1 << 29
    estimate = _48_OVER_17 + doubling_high_multiply(half_denominator, _MINUS_32_OVER_17)
    for _ in range(_NEWTON_STEPS):
        error = unit - doubling_high_multiply(half_denominator, estimate)
        estimate = estimate + saturating_shift_left(doubling_high_multiply(estimate, error), 2)
    return saturating_shift_left(estimate, 1)


Quantized: TypeAlias = npt.NDArray[np.int64]
"""int64 [N, ...], holding the values of a quantized tensor."""
Step: TypeAlias = Callable[[Quantized], Quantized]
Rescale: TypeAlias = Callable[[Raw, "Raw | int", "Raw | int"], Raw]
"""Values times a multiplier, (mantissa, exponent), as integers."""

ACTIVATION_ENDS: Final = {
    "none": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}
"""What a fused activation leaves of real numbers."""
BOUNDS: Final = {"int8": (-128, 127), "uint8": (0, 255)}
_WEIGHTS: Final = {
    "FULLY_CONNECTED": ("matrix", 2, 0),
    "CONV_2D": ("array", 4, 0),
    "DEPTHWISE_CONV_2D": ("array", 4, 3),
}
"""Of an operator with weights: what they are, their dimensions, and the axis of its outputs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sums:
    """An operator that adds up products, checked: Σ weights * (input - zero) + bias, rescaled and cut off."""

    weights: npt.NDArray[np.int8]
    """As they are stored."""
    bias: npt.NDArray[np.int64]
    """[outputs]; 0 if it is left out."""
    mantissa: Raw
    exponent: Raw
    """[outputs]: what takes a sum to the output's scale."""
    zero: int
    """Input that stands for 0."""
    target: Tensor
    activation: str

    def outputs(self, sums: Raw, rescale: Rescale) -> Quantized:
        """Return what becomes of sums of products, int64 [..., outputs]."""
        low, high = activation_range(self.target, self.activation)
        rescaled = rescale(sums + self.bias, self.mantissa, self.exponent)
        return np.clip(rescaled + affine(self.target)[1], low, high)


def sums_of(graph: Graph, operator: Operator, rescale: Rescale = multiply_by_quantized_multiplier) -> Sums:
    """Return what an operator in `_WEIGHTS` adds up; `rescale` says how its multipliers are computed.

    Raises ValueError unless its weights are symmetric int8 and its bias is int32, both constant, and its activations
    are quantized to 8 bits.
    """
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    target = graph.tensors[operator.outputs[0]]
    kind, dimensions, axis = _WEIGHTS[operator.kind]
    owner = f"the weights of a {operator.kind}"
    if weights.dtype != "int8" or not weights.constant or weights.zero_points.any() or len(weights.shape) != dimensions:
        raise ValueError(f"{owner} are not a constant {kind} of symmetric int8")
    scales, outputs = weights.scales, weights.shape[axis]
    if scales.size not in {1, outputs} or not np.all((scales >= 0) & (scales < np.inf)):
        raise ValueError(f"{owner} do not have one finite scale, or one for each output")
    mantissa, exponent = multipliers(source, weights, target, rescale)
    return Sums(
        weights=np.asarray(weights.values(), dtype=np.int8),
        bias=_bias(graph, operator, outputs),
        mantissa=np.broadcast_to(mantissa, outputs),
        exponent=np.broadcast_to(exponent, outputs),
        zero=affine(source)[1],
        target=target,
        activation=operator.activation,
    )


def _bias(graph: Graph, operator: Operator, outputs: int) -> npt.NDArray[np.int64]:
    if operator.inputs[2:3] in {(), (-1,)}:
        return np.zeros(outputs, dtype=np.int64)
    bias = graph.tensors[operator.inputs[2]]
    if bias.dtype != "int32" or not bias.constant:
        raise ValueError(f"its bias {bias.name!r} is not a constant of int32, but {bias.dtype}")
    values = bias.values().astype(np.int64).reshape(-1)
    if len(values) != outputs:
        raise ValueError(f"it has {len(values):,} biases {bias.name!r} for {outputs:,} outputs")
    return values


def multipliers(
    source: Tensor, weights: Tensor, target: Tensor, rescale: Rescale = multiply_by_quantized_multiplier
) -> tuple[Raw, Raw]:
    """Return what takes sums of products to the output's scale, (mantissas, exponents), one for each scale of weights.

    Kernels that rescale in float32 compute these factors in float32, too, each operation rounded.
    """
    scale, target_scale = affine(source)[0], affine(target)[0]
    effective: list[float] = [scale * float(weight_scale) / target_scale for weight_scale in weights.scales]
    if rescale is multiply_in_float:
        effective = (np.float32(scale) * weights.scales.astype(np.float32) / np.float32(target_scale)).tolist()
    mantissa, exponent = np.array([quantized_multiplier(real) for real in effective], dtype=np.int64).T
    return mantissa, exponent


def exact_matrix(matrix: npt.NDArray[np.int8], source: Tensor) -> npt.NDArray[np.floating]:
    """Return the transposed weights in the float type in which every sum of products is exact.

    NumPy multiplies integer matrices without BLAS, 50 times slower. Floats hold every integer up to 2^24 or 2^53, so
    as long as no partial sum can leave that range, their products are the integers', in whatever order they are added.
    """
    _, zero_point = affine(source)
    low, high = BOUNDS[source.dtype]
    largest = max(high - zero_point, zero_point - low) * np.abs(matrix.astype(np.int64)).sum(axis=1).max()
    return np.ascontiguousarray(matrix.T).astype(np.float32 if largest < 2**24 else np.float64)


def activation_range(target: Tensor, activation: str) -> tuple[int, int]:
    """Return the lowest and the highest quantized value that a fused activation leaves."""
    scale, zero_point = affine(target)
    low, high = BOUNDS[target.dtype]
    if activation not in ACTIVATION_ENDS:
        raise ValueError(f"it has a fused {activation}")
    real_low, real_high = ACTIVATION_ENDS[activation]
    # In float32, as the kernels have it: between two steps the one or the other.
    if real_low > -math.inf:
        low = max(low, zero_point + _round(ratio(real_low, over=scale, in_double=False)))
    if real_high < math.inf:
        high = min(high, zero_point + _round(ratio(real_high, over=scale, in_double=False)))
    return low, high


def numbers_of(tensor: Tensor) -> Numbers:
    """Return how an activation stands for real numbers. Raises ValueError unless it is quantized to 8 bits."""
    if tensor.dtype not in BOUNDS or tensor.scales.size != 1:
        raise ValueError(f"its tensor {tensor.name!r} is {tensor.dtype}, not quantized to 8 bits")
    low, high = BOUNDS[tensor.dtype]
    if not 0 < float(tensor.scales[0]) < math.inf:
        raise ValueError(f"the scale of its tensor {tensor.name!r} is {float(tensor.scales[0])}")
    if tensor.zero_points.size != 1 or not low <= int(tensor.zero_points[0]) <= high:
        raise ValueError(f"the zero point of its tensor {tensor.name!r} is not of type {tensor.dtype}")
    return Numbers(np.dtype(tensor.dtype), float(tensor.scales[0]), int(tensor.zero_points[0]))


def affine(tensor: Tensor) -> tuple[float, int]:
    """Return scale and zero point of an activation. Raises ValueError as `numbers_of` does."""
    numbers = numbers_of(tensor)
    return float(tensor.scales[0]), numbers.zero_point


def _round(value: float) -> int:
    """Round halves away from zero, as C does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
