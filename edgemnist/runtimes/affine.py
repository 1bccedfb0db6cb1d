"""What the tensors of a full-int8 graph stand for: scales, zero points, weights and ranges, checked.

Shared by the NumPy reference and by `edgemnist.native.network`, so that both read a file in one way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.runtimes import fixedpoint
from edgemnist.runtimes.pixels import Numbers
from edgemnist.runtimes.tflite import Graph, Operator, Tensor

Quantized: TypeAlias = npt.NDArray[np.int64]
"""int64 [N, ...], holding the values of a quantized tensor."""
Step: TypeAlias = Callable[[Quantized], Quantized]
Rescale: TypeAlias = Callable[[fixedpoint.Raw, "fixedpoint.Raw | int", "fixedpoint.Raw | int"], fixedpoint.Raw]
"""Values times a multiplier, (mantissa, exponent), as integers."""

BOUNDS: Final = {"int8": (-128, 127), "uint8": (0, 255)}


def weight_matrix(weights: Tensor) -> npt.NDArray[np.int8]:
    """Return the weights of a FULLY_CONNECTED, int8 [outputs, inputs]. Raises ValueError for another kind."""
    return constant_weights(weights, "a FULLY_CONNECTED", "matrix", dimensions=2)


def constant_weights(
    weights: Tensor, owner: str, kind: str, *, dimensions: int, channel_axis: int = 0
) -> npt.NDArray[np.int8]:
    """Return weights as they are stored; `owner` and `kind` say in messages whose and what they are.

    Raises ValueError unless they are symmetric int8 of so many dimensions, with one scale, or one for each channel.
    """
    if weights.dtype != "int8" or not weights.constant or weights.zero_points.any() or len(weights.shape) != dimensions:
        raise ValueError(f"the weights of {owner} are not a constant {kind} of symmetric int8")
    if weights.scales.size not in {1, weights.shape[channel_axis]} or not np.all(np.isfinite(weights.scales)):
        raise ValueError(f"the weights of {owner} do not have one finite scale, or one for each output")
    return np.asarray(weights.values(), dtype=np.int8)


def bias_of(graph: Graph, operator: Operator, outputs: int) -> npt.NDArray[np.int64]:
    """Return what an operator with weights adds to its sums, int64 [outputs]; 0 if it is left out."""
    if operator.inputs[2:3] in {(), (-1,)}:
        return np.zeros(outputs, dtype=np.int64)
    bias = graph.tensors[operator.inputs[2]]
    values = bias.values().astype(np.int64).reshape(-1)
    if len(values) != outputs:
        raise ValueError(f"it has {len(values):,} biases {bias.name!r} for {outputs:,} outputs")
    return values


def multipliers(source: Tensor, weights: Tensor, target: Tensor) -> tuple[fixedpoint.Raw, fixedpoint.Raw]:
    """Return what takes sums of products to the output's scale, (mantissas, exponents) as `fixedpoint` has them."""
    scale, target_scale = affine(source)[0], affine(target)[0]
    effective = [scale * float(one) / target_scale for one in weights.scales]
    mantissa, exponent = np.array([fixedpoint.quantized_multiplier(real) for real in effective], dtype=np.int64).T
    return mantissa, exponent


def exact_matrix(matrix: npt.NDArray[np.int64], source: Tensor) -> npt.NDArray[np.floating]:
    """Return the transposed weights in the float type in which every sum of products is exact.

    NumPy multiplies integer matrices without BLAS, 50 times slower. Floats hold every integer up to 2^24 or 2^53, so
    as long as no partial sum can leave that range, their products are the integers', in whatever order they are added.
    """
    _, zero_point = affine(source)
    low, high = BOUNDS[source.dtype]
    largest = max(high - zero_point, zero_point - low) * np.abs(matrix).sum(axis=1).max()
    return np.ascontiguousarray(matrix.T).astype(np.float32 if largest < 2**24 else np.float64)


def activation_range(target: Tensor, activation: str) -> tuple[int, int]:
    """Return the lowest and the highest quantized value that a fused activation leaves."""
    scale, zero_point = affine(target)
    low, high = BOUNDS[target.dtype]
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
    if tensor.dtype not in BOUNDS or tensor.scales.size != 1:
        raise ValueError(f"its tensor {tensor.name!r} is {tensor.dtype}, not quantized to 8 bits")
    low, high = BOUNDS[tensor.dtype]
    if not 0 < float(tensor.scales[0]) < math.inf:
        raise ValueError(f"the scale of its tensor {tensor.name!r} is {float(tensor.scales[0])}")
    if tensor.zero_points.size != 1 or not low <= int(tensor.zero_points[0]) <= high:
        raise ValueError(f"the zero point of its tensor {tensor.name!r} is not of type {tensor.dtype}")
    return Numbers(np.dtype(tensor.dtype), float(tensor.scales[0]), int(tensor.zero_points[0]))


def affine(tensor: Tensor) -> tuple[float, int]:
    """Return scale and zero point of an activation."""
    numbers = numbers_of(tensor)
    return float(tensor.scales[0]), numbers.zero_point


def _round(values: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    """Round halves away from zero, as C does."""
    return np.asarray(np.copysign(np.floor(np.abs(values) + 0.5), values))
