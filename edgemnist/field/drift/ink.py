"""Ink on paper in numbers that all handwriting has, by which a change of pens, paper or cameras shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images

HALF: Final = 127
"""Pixels above are ink."""
SIDE: Final = 28


class Feature(NamedTuple):
    """A number that is counted in bins of equal width; values outside are counted in the first or the last."""

    name: str
    unit: str
    low: float
    high: float


BINS: Final = 24
FEATURES: Final = (
    Feature("stroke width", "px", 1.0, 5.0),
    Feature("slant", "px/px", -0.8, 0.8),
    Feature("size", "px", 3.5, 9.5),
    Feature("position, x", "px", 10.0, 18.0),
    Feature("position, y", "px", 10.0, 18.0),
    Feature("contrast", "grey", 120.0, 255.0),
)
"""MNIST fills the middle of each range, which leaves room for what differs from it."""


def ink_of(images: Images) -> npt.NDArray[np.float64]:
    """Return the `FEATURES` of images, uint8 [N, 28, 28], as float64 [N, features].

    Stroke width is twice the ink's area by the length of its outline. Slant is how far its top leans to the right,
    size its root mean square distance from the centre of mass, position that centre, counted from 0. Contrast is how
    much brighter ink is than paper. An image without ink has the lowest value of each.
    """
    inside = images > HALF
    core = np.zeros_like(inside)
    core[:, 1:-1, 1:-1] = (
        inside[:, 1:-1, 1:-1] & inside[:, :-2, 1:-1] & inside[:, 2:, 1:-1] & inside[:, 1:-1, :-2] & inside[:, 1:-1, 2:]
    )
    area = inside.sum(axis=(1, 2))
    outline = np.maximum(1, area - core.sum(axis=(1, 2)))
    flat = images.reshape(len(images), -1).astype(np.float64)
    mass = np.maximum(1.0, flat.sum(axis=1))
    moments = flat @ _COORDINATES / mass[:, None]
    y, x = moments[:, 0], moments[:, 1]
    yy, xx, xy = moments[:, 2] - y**2, moments[:, 3] - x**2, moments[:, 4] - x * y
    ink = inside.reshape(len(images), -1)
    strong = (flat * ink).sum(axis=1) / np.maximum(1, area)
    weak = (flat * ~ink).sum(axis=1) / np.maximum(1, SIDE**2 - area)
    found = np.column_stack([
        2 * area / outline,
        -xy / np.maximum(yy, 1e-9),
        np.sqrt(np.maximum(0.0, yy + xx)),
        x,
        y,
        strong - weak,
    ])  # fmt: skip
    found[area == 0] = [one.low for one in FEATURES]
    return found


_Y, _X = np.indices((SIDE, SIDE), np.float64).reshape(2, -1)
_COORDINATES: Final = np.column_stack([_Y, _X, _Y * _Y, _X * _X, _X * _Y])


def bins_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bins of features, float64 [N, features], as int64 [N, features]."""
    lows, highs = np.array([[one.low, one.high] for one in FEATURES]).T
    shares = (values - lows) / (highs - lows)
    return np.asarray(np.clip(np.floor(shares * BINS), 0, BINS - 1), np.int64)
