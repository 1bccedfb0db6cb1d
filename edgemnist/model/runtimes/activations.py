"""Activation functions of the NumPy reference: what becomes of each of 256 levels, as tables.

A level is a number's distance from its zero point. LiteRT's reference kernels compute some in fixed point and some in
float32, and so is each here; sources are `kernels/activations.cc` and `kernels/internal/reference/hard_swish.h`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes import fixedpoint
from edgemnist.model.runtimes.fixedpoint import Quantized

_Reals: TypeAlias = npt.NDArray[np.float32]

CUT: Final = {"RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "relu_n1_to_1", "QUANTIZE": "none"}
"""What only rescales and cuts off, and the fused activation that does the same."""

_MOST_BITS: Final = 15
"""That HARD_SWISH shifts its 16-bit numbers by."""


def _logistic(x: _Reals) -> _Reals:
    return np.float32(1) / (np.float32(1) + np.exp(-x.astype(np.float64)).astype(np.float32))


def _tanh(x: _Reals) -> _Reals:
    return np.tanh(x.astype(np.float64)).astype(np.float32)


def _gelu(x: _Reals) -> _Reals:
    halves = np.array([math.erfc(value) for value in (x * np.float32(-math.sqrt(0.5))).tolist()], np.float32)
    return np.float32(0.5) * x * halves


def _gelu_by_tanh(x: _Reals) -> _Reals:
    cubic = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + _tanh(cubic))


CURVES: Final[dict[str, Callable[[_Reals], _Reals]]] = {
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "GELU": _gelu,
    "GELU by TANH": _gelu_by_tanh,
}
"""What is computed in float32. Double precision stands for the C library's functions, which round nearly as well."""


def curved(kind: str, levels: Quantized, scale: float, target_scale: float) -> Quantized:
    """Return what one of `CURVES` makes of levels, in levels of the output, neither clipped nor from its zero point.

    Raises ValueError where the kernels do not take the output's scale.
    """
    if kind == "LOGISTIC" and target_scale != 1 / 256:
        raise ValueError("the output of its LOGISTIC has another scale than 1/256")
    # An exponential beyond float32 is infinite, as in the kernels.
    with np.errstate(over="ignore", invalid="ignore"):
        reals = np.float32(scale) * levels.astype(np.float32)
        steps = CURVES[kind](reals) * (np.float32(1) / np.float32(target_scale))
    if not (np.abs(steps) < 2.0**31).all():
        raise ValueError(f"the output of its {kind} has a scale of {target_scale:g}, which leads beyond 32 bits")
    rounded: Quantized = np.copysign(np.floor(np.abs(steps.astype(np.float64)) + 0.5), steps).astype(np.int64)
    return rounded


def hard_swish(levels: Quantized, scale: float, target_scale: float) -> Quantized:
    """Return x * min(max(x + 3, 0), 6) / 6 of levels, in levels of the output, computed in 16 bits.

    Raises ValueError for scales that the kernels do not take, or that leave nothing of 16 bits.
    """
    fine = np.float32(1 / 128) * np.float32(scale)
    factor, exponent = _in_16_bits(float(fine / np.float32(target_scale)))
    share_factor, share_exponent = _in_16_bits(float(fine / np.float32(3 / 32768)))
    if not -_MOST_BITS <= exponent <= 0 or share_exponent < -_MOST_BITS:
        raise ValueError(f"the scales of its HARD_SWISH, {scale:g} and {target_scale:g}, are beyond 16 bits")
    wide = levels << 7
    # The last of several shifts to the left comes after the product, so that only what it saturates is cut off.
    share = _high_product(_saturated(wide << max(share_exponent - 1, 0)), share_factor)
    share = _saturated(share << 1) if share_exponent > 0 else share
    share = fixedpoint.rounding_divide_by_power(share, max(-share_exponent, 0))
    product = ((share + 2**15) >> 1) * _high_product(wide, factor)
    return fixedpoint.rounding_divide_by_power(np.sign(product) * (np.abs(product) >> 15), -exponent)


def _in_16_bits(real: float) -> tuple[int, int]:
    mantissa, exponent = fixedpoint.quantized_multiplier(real)
    return min((mantissa + (1 << 15)) >> 16, 2**15 - 1), exponent


def _high_product(values: Quantized, factor: int) -> Quantized:
    return (values * factor + (1 << 14)) >> 15


def _saturated(values: Quantized) -> Quantized:
    return np.clip(values, -(2**15), 2**15 - 1)
