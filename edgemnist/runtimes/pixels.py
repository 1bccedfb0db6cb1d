"""Pixels into a model's input numbers, a model's output numbers into scores, and what operation the scores come from.

Quantized tensors follow TFLite's definition: real = scale × (quantized − zero point).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images, Probabilities
from edgemnist.formats import INPUT_RANGES, UNIT
from edgemnist.runtimes import ONNX, TFLITE, identify
from edgemnist.runtimes.tflite import read_graph

Encode: TypeAlias = Callable[[Images, npt.NDArray[Any]], object]
"""Write images, uint8 [N, 28, 28], to an array of `Numbers.storage` of the same shape."""
Decode: TypeAlias = Callable[[npt.NDArray[Any]], Probabilities]
"""Return the scores, a new float32 array, that an array of `Numbers.storage` stands for."""

_VALUES = np.arange(256)
_ONE_IMAGE = (1, IMAGE_SIDE, IMAGE_SIDE)


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


def can_express(dtype: np.dtype[Any]) -> bool:
    """Return whether there is a codec for tensors of this dtype."""
    return dtype.kind == "f" or dtype in (np.dtype(np.int8), np.dtype(np.uint8))


def quantize_pixels(numbers: Numbers, input_range: str | None = None) -> npt.NDArray[Any]:
    """Return the number that stands for each pixel value, [256] of an 8-bit dtype.

    Pixels become real numbers of `input_range`, 0..1 by default, rounded to the nearest step (halves up, as TFLite does
    with positive numbers) and clipped at the ends of the dtype. Without a scale they are the pixels themselves, less
    128 if the dtype is signed.
    """
    limits = np.iinfo(numbers.dtype)
    if numbers.scale is None:
        return (_VALUES + limits.min).astype(numbers.dtype)
    low, high = INPUT_RANGES[input_range or UNIT]
    steps = np.floor((_VALUES / 255 * (high - low) + low) / numbers.scale + 0.5) + numbers.zero_point
    table: npt.NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(numbers.dtype)
    return table


MATCH = 0.1
"""Share of a range by which the ends of a quantized tensor may miss it, since they come from images and get rounded."""


def covered_range(numbers: Numbers) -> str | None:
    """Return the input range that a quantized tensor was evidently made for; None for any other, and for floats."""
    if numbers.scale is None or numbers.dtype.kind == "f":
        return None
    limits = np.iinfo(numbers.dtype)
    ends = [numbers.scale * (limit - numbers.zero_point) for limit in (limits.min, limits.max)]
    for name, (low, high) in INPUT_RANGES.items():
        if max(abs(ends[0] - low), abs(ends[1] - high)) <= MATCH * (high - low):
            return name
    return None


def dequantize_scores(numbers: Numbers) -> npt.NDArray[np.float32]:
    """Return the score that each bit pattern of an 8-bit dtype stands for, float32 [256]."""
    quantized = _VALUES.astype(np.uint8).view(numbers.dtype).astype(np.float32)
    if numbers.scale is None:
        return quantized
    return np.float32(numbers.scale) * (quantized - np.float32(numbers.zero_point))


def encoder(numbers: Numbers, input_range: str | None = None) -> Encode:
    """Return the fastest function that writes pixels as `numbers`.

    `input_range` is one of `INPUT_RANGES`, 0..1 by default.
    """
    if numbers.dtype.kind == "f":
        low, high = INPUT_RANGES[input_range or UNIT]
        if high == np.iinfo(np.uint8).max:
            return _copy
        if low:
            return partial(_shift, numbers.dtype.type(2 / 255))
        # A constant of the image's shape: NumPy takes 0.2 µs longer over a scalar.
        return partial(_scale, np.full(_ONE_IMAGE, 255, dtype=numbers.dtype))
    table = quantize_pixels(numbers, input_range).view(np.uint8)
    if np.array_equal(table, _VALUES):
        return _copy
    if np.array_equal(table, _VALUES ^ 0x80):
        # int8 with scale 1/255 and zero point -128, which is what a converter calibrated on images arrives at.
        return partial(np.bitwise_xor, np.full(_ONE_IMAGE, 0x80, dtype=np.uint8))
    return partial(_look_up, table)


def decoder(numbers: Numbers) -> Decode:
    """Return the fastest function that reads scores from `numbers`."""
    if numbers.dtype == np.float32:
        return np.ndarray.copy
    if numbers.dtype.kind == "f":
        return _to_float32
    return dequantize_scores(numbers).take


def _scale(whole: npt.NDArray[Any], images: Images, out: npt.NDArray[Any]) -> None:
    out[...] = images
    np.divide(out, whole, out)


def _shift(factor: np.floating[Any], images: Images, out: npt.NDArray[Any]) -> None:
    out[...] = images
    np.multiply(out, factor, out)
    np.subtract(out, out.dtype.type(1), out)


def _copy(images: Images, out: npt.NDArray[Any]) -> None:
    out[...] = images


def _look_up(table: npt.NDArray[Any], images: Images, out: npt.NDArray[Any]) -> None:
    # All 256 values are in the table; "clip" only spares NumPy the buffer that it needs to be able to raise.
    table.take(images, None, out, "clip")


def _to_float32(scores: npt.NDArray[Any]) -> Probabilities:
    return scores.astype(np.float32)


_PASS_ON: Final = frozenset({"cast", "dequantize", "dequantizelinear", "flatten", "identity", "quantize",
                             "quantizelinear", "reshape", "squeeze"})  # fmt: skip
"""Operations that change how scores are written, and not what they say."""
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5
"""Wire types of a protocol buffer, by its specification."""


def last_operation(model: bytes) -> str:
    """Return the operation that a TFLite or ONNX file's scores come from, in lower case, or "" where none is found.

    What only converts or reshapes them is passed over.
    """
    try:
        steps, name = {TFLITE: _tflite, ONNX: _onnx}[identify(model[:64]) or ""](model)
    except (KeyError, IndexError, StopIteration, ValueError):
        return ""
    for _ in steps:
        kind, name = steps.get(name, ("", b""))
        if kind not in _PASS_ON:
            return kind
    return ""


def _tflite(model: bytes) -> tuple[dict[object, tuple[str, object]], object]:
    """Return operation and first input by output, and the model's output."""
    graph = read_graph(model)
    return {one.outputs[0]: (one.kind.lower(), one.inputs[0]) for one in graph.operators}, graph.outputs[0]


def _onnx(model: bytes) -> tuple[dict[object, tuple[str, object]], object]:
    steps: dict[object, tuple[str, object]] = {}
    # ModelProto: graph 7; GraphProto: node 1, output 12; NodeProto: input 1, output 2, op_type 4; ValueInfo: name 1
    graph = next(content for field, content in _fields(model) if field == 7)  # noqa: PLR2004
    for field, content in _fields(graph):
        if field == 1:
            node = dict(reversed(list(_fields(content))))
            steps[node[2]] = (node[4].decode().lower(), node.get(1, b""))
    output = next(content for field, content in _fields(graph) if field == 12)  # noqa: PLR2004
    return steps, dict(_fields(output))[1]


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each field of a protocol buffer that has a content of its own."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        size = {_VARINT: 0, _EIGHT: 8, _TEXT: 0, _FOUR: 4}[key & 7]
        if key & 7 in {_VARINT, _TEXT}:
            number, at = _varint(data, at)
            size = number if key & 7 == _TEXT else 0
        if key & 7 == _TEXT:
            yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the top bit says that more follows
            return value, at
