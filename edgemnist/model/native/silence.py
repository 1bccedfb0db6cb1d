"""Units that are silent together, side by side: kernels skip groups of inputs that are all 0.

A network may number the units of a hidden layer as it likes: sums of integers have the same bits in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.native.layers import Kind, Layer

MOST_UNITS: Final = 1024
MOST_WEIGHTS: Final = 1 << 20
"""Of a layer that is put in order: the time goes with the square of its units, and memory with its weights."""
_DRAWN: Final = 32
"""Inputs that show which units are silent, half of them noise, half drifts of any contrast. With 256, 2 % fewer weights
are read."""


def silent_together(layers: Sequence[Layer], group: int, least: int) -> tuple[Layer, ...]:
    """Return layers with the units of hidden dense ones in an order in which those of a `group` tend to be 0 together.

    Those that a dense layer of at least `least` weights takes, of layers that are not too large. The layers answer the
    same, whatever they take.
    """
    ordered = list(layers)
    numbers = None
    for index in range(len(ordered) - 1):
        layer, taker = ordered[index : index + 2]
        is_hidden = layer.kind is taker.kind is Kind.DENSE and layer.exponentials is None
        matrix, taking = layer.matrix, taker.matrix
        if not is_hidden or matrix is None or taking is None or taking.size < least or _is_large(matrix):
            numbers = None
            continue
        numbers = _answers(layer, matrix, _drawn(matrix.shape[1]) if numbers is None else numbers)
        order = _order(numbers == 0, group)
        numbers = numbers[:, order]
        ordered[index] = _reordered(layer, np.s_[order], "weights", "bias", "multiplier", "shift")
        ordered[index + 1] = _reordered(taker, np.s_[:, order], "weights")
    return tuple(ordered)


def _is_large(matrix: npt.NDArray[np.int8]) -> bool:
    return len(matrix) > MOST_UNITS or matrix.size > MOST_WEIGHTS


def _reordered(layer: Layer, order: list[int] | tuple[slice, list[int]], *names: str) -> Layer:
    """Return a layer with these tables of its sums in another order."""
    assert layer.sums is not None  # noqa: S101 - for the type checker
    return replace(layer, sums=replace(layer.sums, **{name: getattr(layer.sums, name)[order] for name in names}))


def _answers(layer: Layer, matrix: npt.NDArray[np.int8], numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what a dense layer makes of numbers, [N, inputs], but for roundings: the same on every machine."""
    assert layer.sums is not None  # noqa: S101 - for the type checker
    rescaled = (numbers @ matrix.T.astype(np.float64) + layer.sums.bias) * layer.sums.multiplier
    made = np.rint(rescaled * 0.5 ** layer.sums.shift.astype(np.float64)) + layer.zero_point
    made = made.clip(layer.low, layer.high)
    return made if layer.map is None else layer.map[made.astype(np.intp)].astype(np.float64)


def _drawn(inputs: int) -> npt.NDArray[np.float64]:
    """Return random whole numbers from 0 to 255, [_DRAWN, inputs], the same ones every time."""
    random = np.random.default_rng(0)
    drifts = random.normal(size=(_DRAWN // 2, inputs)).cumsum(axis=1)
    drifts *= random.uniform(16, 256, (len(drifts), 1)) / (1 + np.abs(drifts).max(axis=1, keepdims=True))
    drifts += random.uniform(0, 256, (len(drifts), 1))
    return np.concatenate([random.integers(0, 256, drifts.shape), np.rint(drifts.clip(0, 255))])


def _order(silent: npt.NDArray[np.bool_], group: int) -> list[int]:
    """Return an order of units: the most silent one left begins a group, and those that are silent with it follow.

    `silent` is [inputs, units].
    """
    silence, order = silent.astype(np.float32), list[int]()
    taken = np.zeros(silence.shape[1], np.float32)
    for place in range(len(taken)):
        if place % group == 0:
            together = np.ones(len(silence), np.float32)
        unit = int((together @ silence + taken).argmax())
        together *= silence[:, unit]
        taken[unit] = -np.inf
        order.append(unit)
    return order
