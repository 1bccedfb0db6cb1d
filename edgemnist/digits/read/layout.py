"""Lines and numbers: the order in which a person reads the boxes of a page."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.digits.task import Box

STEEPEST: Final = 0.25
"""Slope of a line, up or down, at most: 14°."""
SLOPES: Final = 51
"""Slopes that are tried."""
LINE_OVERLAP: Final = 0.55
"""Distance of a box's middle from its line, in heights of a digit, at most."""
DIGIT_WIDTH: Final = 0.6
"""Room that a digit takes on a line, in its heights: written at an even pitch, a 1 leaves paper on both sides."""
EVEN: Final = 1.3
"""Times the widest gap of a number up to which a gap still belongs to it."""
WIDER: Final = 1.5
"""Times the usual limit up to which it does."""
CELL_GAP: Final = 1.2
"""Gap within a cell, in heights of a digit, up to which digits are one number, as a cell mostly holds one."""
MEMORY: Final = 4
"""Boxes of a line, the last ones, from whose mean it continues."""

Floats = npt.NDArray[np.float64]


class Along:
    """Positions along x or y, float64 [N], of which those near a place are found without looking at all."""

    def __init__(self, positions: Floats) -> None:
        self._order = np.argsort(positions)
        self._sorted = positions[self._order]

    def within(self, at: float, reach: float) -> npt.NDArray[np.int64]:
        """Return the indices, in order, of the positions that are at most `reach` from `at`."""
        first, last = self._sorted.searchsorted(at - reach), self._sorted.searchsorted(at + reach, side="right")
        return np.sort(self._order[first:last])


def arrange(boxes: Sequence[Box]) -> list[list[int]]:
    """Return the indices of the boxes as lines, top to bottom, each from left to right; lines may slant."""
    if not boxes:
        return []
    array = np.array(boxes, dtype=np.float64)
    x, y = array[:, 0] + array[:, 2] / 2, array[:, 1] + array[:, 3] / 2
    height = float(np.median(array[:, 3]))
    level = y - page_slope(x, y, height) * x
    lines: list[list[int]] = []
    # Where each line has got to.
    ends = np.empty(len(array))
    for index in np.argsort(x):
        distances = np.abs(level[index] - ends[: len(lines)])
        nearest = int(np.argmin(distances)) if lines else -1
        if nearest >= 0 and distances[nearest] <= LINE_OVERLAP * max(height, array[index, 3]):
            lines[nearest].append(int(index))
        else:
            nearest = len(lines)
            lines.append([int(index)])
        last = level[lines[nearest][-MEMORY:]]
        ends[nearest] = last.sum() / len(last)
    return sorted(lines, key=lambda line: float(np.median(level[line])))


def page_slope(x: Floats, y: Floats, height: float) -> float:
    """Return the slope of the lines: the one along which the middles of the boxes fall into the fewest rows.

    As in projection profiles: along the right slope the histogram of the middles has few, high peaks.
    """
    if len(x) < 3 or height == 0:  # noqa: PLR2004 - two boxes make any slope
        return 0.0
    candidates = np.linspace(-STEEPEST, STEEPEST, SLOPES)
    scores = _peaks((y - candidates[:, None] * x) / height)
    # Among slopes that are as good, the one that is nearest to level.
    return float(min(candidates[scores == scores.max()], key=abs))


def numbers_in(line: Sequence[int], boxes: Sequence[Box], join_gap: float) -> list[list[int]]:
    """Return the boxes of a line as numbers; a wide gap, against the height of the digits beside it, ends one.

    Beside a narrow digit half of the room that it leaves empty is not part of the gap. A gap that is hardly wider than
    the one before ends no number.
    """
    numbers: list[list[int]] = []
    widest = 0.0
    for index in line:
        if numbers:
            before, after = boxes[numbers[-1][-1]], boxes[index]
            spare = sum(max(0.0, DIGIT_WIDTH * box[3] - box[2]) / 2 for box in (before, after))
            gap = (after[0] - (before[0] + before[2]) - spare) / max(before[3], after[3])
            if gap <= max(join_gap, min(EVEN * widest, WIDER * join_gap)):
                numbers[-1].append(index)
                widest = max(widest, gap)
                continue
        widest = 0.0
        numbers.append([index])
    return numbers


def median(values: npt.NDArray[Any]) -> float:
    """Return the median of [N]. NumPy's takes several times as long, and is needed for every digit."""
    values = np.sort(values)
    middle = len(values) // 2
    return float((values[middle] + values[~middle]) / 2)


def around(boxes: Sequence[Box]) -> Box:
    """Return the box that encloses all of them."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Return the intersection of two boxes, x, y, width, height, by their union."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (one[2] * one[3] + other[2] * other[3] - width * height)


def _peaks(levels: Floats) -> Floats:
    """Return how high the peaks of each histogram are, [slopes], of levels [slopes, N]."""
    bins = np.floor((levels - levels.min(axis=1, keepdims=True)) * 4).astype(np.int64)
    most = int(bins.max()) + 3
    rows = np.arange(len(bins))[:, None] * most
    counts = np.bincount((rows + bins + 1).ravel(), minlength=len(bins) * most).reshape(-1, most)
    # Neighbouring bins count together, so that a row on the border of two is not torn.
    wide = counts.astype(np.float64)
    wide[:, 1:] += counts[:, :-1] / 2
    wide[:, :-1] += counts[:, 1:] / 2
    return np.asarray((wide**2).sum(axis=1))
