"""Lines that come to the same as a rescaling in integers: one product of float32 in the place of two of 64 bits.

An output is a step function of its sum, and rises: it is known by the least sum of each value. A line, rounded down, is
the same function if it is on the right side of the value at each of these sums and at the one before. One sum of an
output may be an exception: what is added to it there takes it to the right side.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.native.layers import Layer

NO_SUM: Final = 0.5
"""No sum is this."""
TOGETHER: Final = 16
"""Outputs that a kernel rescales at once."""
_HALF: Final = 128
"""What a line is less than the output: its numbers are small, and so is what they are rounded."""
_LEAST_SHIFT: Final = 32
_MOST_SHIFT: Final = 54
"""So that there is a half to add after 2^31, and that a value times 2^shift fits an int64."""
_LEAST_SLOPE: Final = 2.0**-20
"""So that a float64 holds the line exactly: 24 bits of the slope, which is multiplied by a whole number, up to 2^8."""
_ALONE: Final = 2.0**-16
"""Slope from which on the sum beside an exception is further from its value than a line is rounded."""
_SLOPES: Final = (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8)
"""Steps of a float32 that a slope may differ from the best one."""
_BETWEEN: Final = (0.5, 0.3, 0.7, 0.1, 0.9)
_BEYOND: Final = (-0.5, 1.5, -2.0, 3.0)
"""Where an offset may lie between the least and the greatest that would do if nothing were rounded; then beyond either,
if a sum is an exception."""

Floats = npt.NDArray[np.floating[Any]]


def lines_of(layer: Layer) -> npt.NDArray[np.float32]:
    """Return slope, offset, offset of negative sums, an exception, and what is added to it, float32 [5, outputs].

    A slope of 0 stands for no line, and `NO_SUM` for no exception.
    """
    lines = np.zeros((5, layer.outputs), np.float32)
    lines[3] = NO_SUM
    sums = layer.sums
    if sums is None or layer.wide or layer.low == layer.high:
        return lines
    if int(sums.shift.max()) > _MOST_SHIFT or int(sums.shift.min()) < _LEAST_SHIFT:
        return lines
    shift, multiplier = (numbers.astype(np.int64)[:, None] for numbers in (sums.shift, sums.multiplier))
    values = np.arange(layer.low + 1, layer.high + 1)
    steps = values - layer.zero_point
    # The least products that come to each value, after one rounding or after two: halves up, then away from zero.
    products = (steps << shift) - (np.int64(1) << (shift - 1))
    below = np.zeros(shift.shape)
    if sums.rounds_twice:
        products += np.where(steps > 0, 0, 1 << 31) - (1 << 30)
        if layer.low < layer.zero_point:
            below -= np.ldexp(1.0, 31 - shift)
    least = -(-products // np.maximum(multiplier, 1))
    # Sums that reach a value, and those that do not, as far as there are any.
    first, last = ((sums.bias + end)[:, None] for end in layer.products)
    reaching, missing = np.maximum(least, first), np.minimum(least - 1, last)
    begins = (values - _HALF).astype(np.float64)
    ends = [end.astype(np.float32).astype(np.float64) for end in (reaching, missing)]
    there = reaching <= last, missing >= first
    exact: Floats = np.ldexp(multiplier.astype(np.float64), -shift).astype(np.float32)
    left = np.flatnonzero(exact[:, 0] >= _LEAST_SLOPE)
    for tried, part in (*itertools.product(_SLOPES, _BETWEEN), *itertools.product(_SLOPES, _BEYOND)):
        if not len(left):
            break
        up, down, reached, missed, less = (table[left] for table in (*ends, *there, below))
        slope = exact[left] + np.float32(tried) * np.spacing(exact[left])
        rises = slope.astype(np.float64) * up, slope.astype(np.float64) * down
        low = np.max(begins - rises[0] - less * (up < 0), axis=1, where=reached, initial=-2 * _HALF)
        high = np.min(begins - rises[1] - less * (down < 0), axis=1, where=missed, initial=2 * _HALF)
        offset = (low + (high - low) * part).astype(np.float32)[:, None]
        other = (offset + less).astype(np.float32)
        # As it is computed: rounded once, to a float32.
        over, under = (
            (rise + np.where(end < 0, other, offset)).astype(np.float32)
            for rise, end in zip(rises, (up, down), strict=True)
        )
        wrong = np.concatenate([(over < begins) & reached, (under >= begins) & missed], axis=1)
        count, which = wrong.sum(axis=1)[:, None], np.argmax(wrong, axis=1)[:, None]
        alone = (count == 1) & (slope > _ALONE) & (part in _BEYOND)
        exception = np.where(alone, np.take_along_axis(np.concatenate([up, down], axis=1), which, axis=1), NO_SUM)
        added = np.where(alone, np.where(which < len(values), 0.5, -0.5), 0)
        follows = ((count == 0) | alone)[:, 0]
        lines[:, left[follows]] = np.concatenate([slope, offset, other, exception, added], axis=1)[follows].T
        left = left[~follows]
    return lines


def filled(lines: npt.NDArray[np.float32], outputs: int) -> npt.NDArray[np.float32]:
    """Return lines of whole blocks, flat; kernels take some outputs together, of which all have one or none.

    Where they are as simple as that, without exceptions and the same for negative sums, the first exception says so.
    """
    whole = np.ones((5, outputs), np.float32)
    whole[2:] = np.array([1, NO_SUM, 0])[:, None]
    whole[:, : lines.shape[1]] = lines
    slopes, offsets, others, exceptions, added = whole.reshape(5, -1, TOGETHER)
    slopes[(slopes == 0).any(axis=1)] = 0
    simple = ((offsets == others) & (added == 0)).all(axis=1)
    exceptions[:, 0] = np.where(~simple & (exceptions[:, 0] == NO_SUM), -NO_SUM, exceptions[:, 0])
    return whole.reshape(-1)
