"""The layers of a network as the engine takes them: dense ones, and those whose window slides over an image.

All 8-bit numbers are distances from the lowest of their type.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edgemnist.runtimes.windows import Window

Table: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [256]: what becomes of each number."""

_HIGHEST: Final = 255


@dataclass(frozen=True, eq=False, kw_only=True)
class _Layer:
    """What layers have in common: the range of their outputs, and what follows them."""

    name: str
    """Of its weights in the file, or of its outputs without any."""
    zero_point: int
    low: int
    high: int
    """Of the outputs, with the activation that is fused."""
    map: Table | None = None
    """Applied to each output: ReLU, or another scale."""
    exponentials: npt.NDArray[np.int32] | None = None
    """Of the softmax over the outputs, by distance from their maximum, as far as they add anything; Q0.31."""
    softmax_map: Table | None = None
    """Applied after the softmax."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Summing(_Layer):
    """A layer of sums that are rescaled."""

    bias: npt.NDArray[np.int64]
    """[outputs]: what each sum starts from."""
    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.uint8]
    """[outputs]: sums are rescaled to (sum * multiplier + 2^(shift - 1)) >> shift."""
    rounds_twice: bool = False
    """Whether they are rounded as `fixedpoint.multiply_rounding_twice` has it instead."""

    @functools.cached_property
    def wide(self) -> bool:
        """Whether a sum with its bias may leave int32."""
        low, high = self.extremes()
        return int(low.min()) < -(2**31) or int(high.max()) >= 2**31

    def extremes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the least and the greatest sum of each output, whatever the inputs, int64 [outputs] each."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(_Summing):
    """A dense layer. The zero point of its inputs is part of its bias: w · (u - z) + b = w · u + (b - z · Σw)."""

    weights: npt.NDArray[np.int8]
    """[outputs, inputs]"""

    @property
    def outputs(self) -> int:
        """How many numbers there are at each place."""
        return len(self.weights)

    def extremes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the least and the greatest sums; see `_Summing.extremes`."""
        # Without a copy of the weights in 64 bits, which takes more memory than all else.
        least = self.bias + _HIGHEST * np.minimum(self.weights, 0).sum(axis=1, dtype=np.int64)
        greatest = self.bias + _HIGHEST * np.maximum(self.weights, 0).sum(axis=1, dtype=np.int64)
        return least, greatest


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Dense):
    """A dense layer at each place of a window; its inputs are [kernel_height, kernel_width, channels]."""

    window: Window
    zero: int
    """Input that stands for 0, as what lies beyond the edges does."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Depthwise(_Summing):
    """A weighted sum of each channel at each place of a window, of which only what lies on the image counts."""

    window: Window
    zero: int
    """Input that stands for 0."""
    weights: npt.NDArray[np.int8] | None
    """[places in the window, channels]; None for 1 everywhere, which makes it a mean."""

    @property
    def outputs(self) -> int:
        """How many numbers there are at each place."""
        return self.window.channels

    def extremes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the least and the greatest sums; see `_Summing.extremes`."""
        size = self.window.kernel_height * self.window.kernel_width
        weights = np.ones((size, self.outputs), dtype=np.int64) if self.weights is None else self.weights
        positive = np.maximum(weights, 0).sum(axis=0, dtype=np.int64)
        negative = np.minimum(weights, 0).sum(axis=0, dtype=np.int64)
        low, high = -self.zero, _HIGHEST - self.zero
        return self.bias + positive * low + negative * high, self.bias + positive * high + negative * low


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(_Layer):
    """The greatest number, or the mean, of each channel at each place of a window."""

    window: Window
    average: bool
    zero: int
    """Number that halves are rounded away from, which is the type's 0."""

    @property
    def outputs(self) -> int:
        """How many numbers there are at each place."""
        return self.window.channels


@dataclass(frozen=True, eq=False, kw_only=True)
class Crop(Pool):
    """What a window covers in its last row and column; see `windows.cropping`."""

    average: bool = False
    zero: int = 0


Layer: TypeAlias = Dense | Convolution | Depthwise | Pool


def window_of_layer(layer: Layer) -> Window | None:
    """Return the window of a layer, None for a dense one."""
    return None if type(layer) is Dense else layer.window  # type: ignore[union-attr]


def total_outputs(layer: Layer) -> int:
    """Return how many numbers a layer writes, at all places of its window."""
    window = window_of_layer(layer)
    return layer.outputs * (1 if window is None else window.out_height * window.out_width)
