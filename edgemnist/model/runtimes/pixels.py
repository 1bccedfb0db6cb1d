"""Pixels into a model's input numbers, and a model's output numbers into scores.

Quantized tensors follow TFLite's definition: real = scale × (quantized − zero point).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Probabilities
from edgemnist.ground.inputs import INPUT_RANGES, InputSpec, range_ends

Encode: TypeAlias = Callable[[npt.NDArray[Any], npt.NDArray[Any]], object]
"""Write inputs, [N, ...], to an array of `Numbers.storage` of the same shape."""
Decode: TypeAlias = Callable[[npt.NDArray[Any]], Probabilities]
"""Return the scores, a new float32 array, that an array of `Numbers.storage` stands for."""

_VALUES = np.arange(256)


@dataclass(frozen=True)
class Numbers:
    """How a tensor stands for real numbers."""

    dtype: np.dtype[Any]
    """float16, float32, float64, int8 or uint8."""
    scale: float | None = None
    """None for a tensor that is not quantized."""
    zero_point: int = 0

    @property
    def storage(self) -> np.dtype[Any]:
        """The dtype that the codecs work on: 8-bit numbers are handled as the bit pattern that they are."""
        return self.dtype if self.dtype.kind == "f" else np.dtype(np.uint8)

    @property
    def lowest(self) -> int:
        """The lowest number of an 8-bit dtype, from which the engine counts."""
        return int(np.iinfo(self.dtype).min)


def can_express(dtype: np.dtype[Any]) -> bool:
    """Return whether there is a codec for tensors of this dtype."""
    return dtype.kind == "f" or dtype in (np.dtype(np.int8), np.dtype(np.uint8))


def quantize_pixels(numbers: Numbers, spec: InputSpec | None = None) -> npt.NDArray[Any]:
    """Return the number that stands for each byte, [256] of an 8-bit dtype, or [C, 256] where channels differ.

    Bytes become the real numbers that `spec` says, 0..1 by default, rounded to the nearest step (halves up, as TFLite
    does with positive numbers) and clipped at the ends of the dtype. Without a scale they are the pixels themselves,
    less 128 if the dtype is signed.
    """
    limits = np.iinfo(numbers.dtype)
    if numbers.scale is None:
        return (_VALUES + limits.min).astype(numbers.dtype)
    tables = []
    # By the ends: a product with the scale would put values between two steps into the other one.
    for low, high in [(0.0, 1.0)] if spec is None else spec.ends:
        steps = np.floor((_VALUES / 255 * (high - low) + low) / numbers.scale + 0.5) + numbers.zero_point
        tables.append(np.clip(steps, limits.min, limits.max).astype(numbers.dtype))
    return tables[0] if len(tables) == 1 else np.stack(tables)


MATCH = 0.1
"""Share of a range by which the ends of a quantized tensor may miss it, since they come from images and get rounded."""


def covered_range(numbers: Numbers) -> str | None:
    """Return the input range that a quantized tensor was evidently made for; None for any other, and for floats."""
    if numbers.scale is None or numbers.dtype.kind == "f":
        return None
    limits = np.iinfo(numbers.dtype)
    ends = [numbers.scale * (limit - numbers.zero_point) for limit in (limits.min, limits.max)]
    for name in INPUT_RANGES:
        low, high = range_ends(name)
        if max(abs(ends[0] - low), abs(ends[1] - high)) <= MATCH * (high - low):
            return name
    return None


def dequantize_scores(numbers: Numbers) -> npt.NDArray[np.float32]:
    """Return the score that each bit pattern of an 8-bit dtype stands for, float32 [256]."""
    quantized = _VALUES.astype(np.uint8).view(numbers.dtype).astype(np.float32)
    if numbers.scale is None:
        return quantized
    return np.float32(numbers.scale) * (quantized - np.float32(numbers.zero_point))


def encoder(numbers: Numbers, spec: InputSpec) -> Encode:
    """Return the fastest function that writes inputs as `numbers`."""
    if numbers.dtype.kind == "f":
        return _real_encoder(numbers.dtype, spec)
    if spec.dtype == "float32":
        return partial(_quantize, numbers, spec)
    table = quantize_pixels(numbers, spec).view(np.uint8)
    if table.ndim > 1:
        return partial(_look_up_by_channel, table)
    if np.array_equal(table, _VALUES):
        return _copy
    if np.array_equal(table, _VALUES ^ 0x80):
        # int8 with scale 1/255 and zero point -128, which is what a converter calibrated on images arrives at.
        return partial(np.bitwise_xor, np.full(spec.single, 0x80, dtype=np.uint8))
    return partial(_look_up, table)


def decoder(numbers: Numbers) -> Decode:
    """Return the fastest function that reads scores from `numbers`."""
    if numbers.dtype == np.float32:
        return np.ndarray.copy
    if numbers.dtype.kind == "f":
        return lambda scores: scores.astype(np.float32)
    return dequantize_scores(numbers).take


def _real_encoder(dtype: np.dtype[Any], spec: InputSpec) -> Encode:
    """Return the fastest function that writes inputs as real numbers."""
    if (spec.scale, spec.offset) == ((1.0,), (0.0,)):
        return _copy
    if not spec.is_unit:
        return partial(_stretch, _alone(spec.scale, dtype), _alone(spec.offset, dtype))
    # A constant of the input's shape: NumPy takes 0.2 µs longer over a scalar.
    return partial(_scale, np.full(spec.single, 255, dtype=dtype))


def _alone(values: tuple[float, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any] | np.floating[Any]:
    """Return numbers for the last axis, or one for all of it."""
    array = np.asarray(values, dtype)
    number: npt.NDArray[Any] | np.floating[Any] = array[0] if len(values) == 1 else array
    return number


def _scale(whole: npt.NDArray[Any], images: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    out[...] = images
    np.divide(out, whole, out)


def _stretch(factor: Any, low: Any, images: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:  # noqa: ANN401 - one number, or one a channel
    out[...] = images
    np.multiply(out, factor, out)
    np.add(out, low, out)


def _copy(images: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    out[...] = images


def _look_up(table: npt.NDArray[Any], images: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    # All 256 values are in the table; "clip" only spares NumPy the buffer that it needs to be able to raise.
    table.take(images, None, out, "clip")


def _look_up_by_channel(tables: npt.NDArray[Any], images: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    out[...] = tables[np.arange(len(tables)), images]


def _quantize(numbers: Numbers, spec: InputSpec, inputs: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    limits = np.iinfo(numbers.dtype)
    # What is beyond float32 is clipped like all that is beyond the range.
    with np.errstate(over="ignore"):
        steps = np.floor(spec.real(inputs) / (numbers.scale or 1) + 0.5) + numbers.zero_point
    out[...] = np.clip(steps, limits.min, limits.max).astype(numbers.dtype).view(np.uint8)
