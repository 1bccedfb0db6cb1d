"""The layers of a network as the engine takes them. All 8-bit numbers are distances from the lowest of their type."""

from __future__ import annotations

import enum
import functools
import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.model.runtimes.windows import Window

Table: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [256]: what becomes of each number."""

NOWHERE: Final = 2**16 - 1
"""Place of a selection that stands for 0."""
_HIGHEST: Final = 255


class Kind(enum.IntEnum):
    """What a layer does; those with a window as in `engine.h`."""

    CONVOLUTION = 0
    """A dense layer at each place of its window."""
    DEPTHWISE = 1
    """A weighted sum of each channel, of which only what lies on the image counts."""
    MAXIMUM = 2
    AVERAGE = 3
    """The greatest number, or the mean, of each channel."""
    PICK = 4
    """What the window covers in its last row and column; see `windows.cropping`."""
    SELECTION = 5
    """A row, a column and a channel for each, or what stands for 0."""
    CONSTANT = 6
    """Numbers of the file."""
    SUM = 7
    DIFFERENCE = 8
    PRODUCT = 9
    PRELU = 10
    """Of two tensors; of the last the second has a slope for each channel."""
    CONCATENATION = 11
    """The channels of one tensor, then those of another."""
    DENSE = 12


@dataclass(frozen=True, eq=False, kw_only=True)
class Summing:
    """What a layer adds up, and how the sums are rescaled."""

    weights: npt.NDArray[np.int8] | None
    """[outputs, inputs], of a convolution [kernel_height, kernel_width, channels]; depthwise [places, channels], and
    None for 1 everywhere."""
    bias: npt.NDArray[np.int64]
    """[outputs]: what each sum starts from. The zero point of the inputs is part of it, but for depthwise layers:
    w · (u - z) + b = w · u + (b - z · Σw)."""
    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.uint8]
    """[outputs]: sums are rescaled to (sum * multiplier + 2^(shift - 1)) >> shift."""
    rounds_twice: bool = False
    """Whether they are rounded as `fixedpoint.multiply_rounding_twice` has it instead."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined:
    """What a layer joins to its image."""

    number: int
    """Of the layer whose outputs it is, from 1 on; 0 for the input."""
    shape: tuple[int, int, int]
    """(height, width, channels), each as of the image or 1."""
    zero: int
    """What stands for 0."""
    terms: npt.NDArray[np.int32] | None = None
    """Of a sum or a difference: what each number of either tensor adds or takes off, [2, 256]."""
    factors: tuple[tuple[int, int], ...] = ()
    """(multiplier, shift) of both, or for a PReLU of numbers above and below 0; none of a product."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """One layer, and what follows it until the next."""

    kind: Kind
    name: str
    """Of its weights in the file, or of its outputs without any."""
    zero_point: int
    low: int
    high: int
    """Of the outputs, with the activation that is fused."""
    window: Window | None = None
    """None for a dense layer."""
    source: int | None = None
    """Number of the layer whose outputs it takes, from 1 on; 0 is the input, and None is the layer before it."""
    joined: Joined | None = None
    constant: Table | None = None
    """uint8 [height, width, channels] of a constant."""
    places: tuple[npt.NDArray[np.int64], ...] | None = None
    """Of a selection: the rows, columns and channels that are taken, -1 for what stands for 0."""
    zero: int = 0
    """Input that stands for 0, as what lies beyond the edges does; of an average, the number that halves are rounded
    away from."""
    sums: Summing | None = None
    """None for pooling and crops."""
    map: Table | None = None
    """Applied to each output: ReLU, or another scale."""
    exponentials: npt.NDArray[np.int32] | None = None
    """Of the softmax over the outputs, by distance from their maximum, as far as they add anything; Q0.31."""
    softmax_map: Table | None = None
    """Applied after the softmax."""

    @property
    def outputs(self) -> int:
        """How many numbers there are at each place."""
        if self.places is not None:
            return len(self.places[2])
        if self.kind is Kind.CONCATENATION and self.window is not None and self.joined is not None:
            return self.window.channels + self.joined.shape[2]
        if self.sums is not None and self.joined is None:
            return len(self.sums.bias)
        return 0 if self.window is None else self.window.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of its outputs, (height, width, channels)."""
        return (
            (1, 1, self.outputs)
            if self.window is None
            else (self.window.out_height, self.window.out_width, self.outputs)
        )

    @property
    def total_outputs(self) -> int:
        """How many numbers it writes, at all places of its window."""
        return math.prod(self.shape)

    @property
    def matrix(self) -> npt.NDArray[np.int8] | None:
        """Weights of a dense layer or a convolution, int8 [outputs, inputs]; None for any other layer."""
        return self.sums.weights if self.sums is not None and self.kind in {Kind.CONVOLUTION, Kind.DENSE} else None

    @functools.cached_property
    def products(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The least and the greatest sum of products of each output, whatever the inputs, int64 [outputs] each."""
        if self.sums is None or self.joined is not None:
            return np.zeros(self.outputs, np.int64), np.zeros(self.outputs, np.int64)
        weights = self.sums.weights
        if weights is None:
            places = 1 if self.window is None else self.window.kernel_height * self.window.kernel_width
            weights = np.ones((places, self.outputs), np.int8)
        axis, lowest = (0, -self.zero) if self.kind is Kind.DEPTHWISE else (1, 0)
        # Without a copy of the weights in 64 bits, which takes more memory than all else.
        negative = np.minimum(weights, 0).sum(axis=axis, dtype=np.int64)
        positive = np.maximum(weights, 0).sum(axis=axis, dtype=np.int64)
        highest = lowest + _HIGHEST
        return positive * lowest + negative * highest, positive * highest + negative * lowest

    @functools.cached_property
    def wide(self) -> bool:
        """Whether a sum with its bias may leave int32."""
        if self.sums is None or self.joined is not None:
            return False
        least, greatest = self.products
        return int((self.sums.bias + least).min()) < -(2**31) or int((self.sums.bias + greatest).max()) >= 2**31


def window_in(layer: Layer) -> Window:
    """Return the window of a layer that has one. Raises ValueError for another."""
    if layer.window is None:
        raise ValueError(f"its layer {layer.name!r} has no window")
    return layer.window
