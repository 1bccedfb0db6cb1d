"""Straight lines that are printed: of frames, combs, grids and tables.

A line is thin against its length and straight; it may lean by a few degrees, be bent as photographed paper is, and be
torn by grain, by light, and by the strokes that cross it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
"""uint8 [h, w]: 1 for ink."""
Floats = npt.NDArray[np.float64]

RUN: Final = 1 / 50
"""A line has straight runs at least this long, as a share of the page's longer side, and `MIN_RUN` pixels."""
MIN_RUN: Final = 12
SHORTEST: Final = 2
"""A line is at least this many runs long; strokes of digits are shorter, or stand alone."""
THICKEST: Final = 0.015
"""A line is at most this thick, as a share of the page's longer side, and `MIN_THICKEST` pixels."""
MIN_THICKEST: Final = 5
STRAIGHT: Final = 1.5
"""Pixels that the run of a line strays from straight in the median, besides what it is thick."""
GAP: Final = 0.1
"""Runs belong to one line where the gap between them is at most this share of the longer one, or three runs."""
COVERED: Final = 0.5
"""Share of its length in which a line has ink."""
MAX_RUNS: Final = 300
"""Runs of a direction that are looked at, the longest first: the work is bounded, whatever is shown."""
MAX_LINES: Final = 120
"""Lines of a direction, the longest first."""
FAR: Final = 12
BENT_BY: Final = 0.03
"""A run is part of a line that it lies beside only within so many pixels, and this share of the length of the line."""
BENT: Final = 15
CRUMPLED: Final = 22
"""Lines longer than so many runs may be parabolas, and cubics: a shorter one does not tell where its ends point to."""
BUMPY: Final = 0.003
"""Share of its length by which a line strays in the median, as paper does that was folded."""


@dataclass(frozen=True)
class Line:
    """One line, level within a few degrees."""

    curve: np.polynomial.Polynomial
    """From the column to the row."""
    first: int
    last: int
    """Columns between which it was seen."""
    thickness: float
    """Pixels."""

    @property
    def length(self) -> int:
        """Pixels from its first column to its last."""
        return self.last - self.first + 1

    @cached_property
    def middle(self) -> float:
        """Row of its middle."""
        return float(self.curve((self.first + self.last) / 2))


@dataclass(frozen=True)
class _Run:
    columns: Floats
    rows: Floats
    thickness: float

    @property
    def slope(self) -> float:
        """Rows a column, from the first third to the last."""
        third = max(1, len(self.rows) // 3)
        rise = _median(self.rows[-third:]) - _median(self.rows[:third])
        return rise / max(1.0, _median(self.columns[-third:]) - _median(self.columns[:third]))


def _median(values: npt.NDArray[Any]) -> float:
    """Return the upper median of [N]. NumPy's costs several times as much, and there are a hundred in a frame."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def thickest_line(shape: tuple[int, ...]) -> int:
    """Return how many pixels thick a line may be on a page of this height and width."""
    return max(MIN_THICKEST, round(max(shape) * THICKEST))


def transposed(mask: Mask) -> Mask:
    """Return a mask with rows for columns, in one piece; NumPy's copy takes several times as long."""
    return np.asarray(cv2.transpose(mask), dtype=np.uint8)


def find_lines(mask: Mask) -> list[Line]:
    """Return the level lines of a page, from top to bottom."""
    run = max(MIN_RUN, round(max(mask.shape) * RUN))
    thickest = thickest_line(mask.shape)
    runs = _runs(mask, run, thickest)
    groups = [group for group in _grouped(_straight(runs, run, thickest), run) if _length(group) >= SHORTEST * run]
    lines = [_fitted(group, run) for group in groups]
    kept = [line for line in lines if line is not None and line.length >= SHORTEST * run]
    kept.sort(key=lambda line: -line.length)
    return sorted(kept[:MAX_LINES], key=lambda line: line.middle)


def _runs(mask: Mask, run: int, thickest: int) -> Mask:
    """Return what is thin and belongs to level runs; where an upright stroke crosses, it is not thin."""
    # Grain tears thin lines, which are closed before their runs are measured.
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    # The steps of a slanted line are shorter than its runs have to be, unless each reaches over the next.
    thick = cv2.dilate(closed, np.ones((3, 1), np.uint8))
    level = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    solid = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thickest + 1, 1), np.uint8))
    return np.asarray(cv2.bitwise_and(cv2.bitwise_and(level, closed), cv2.subtract(mask, solid)), dtype=np.uint8)


def _straight(runs: Mask, run: int, thickest: int) -> list[_Run]:
    """Return the pieces of runs that are straight, the longest first."""
    joined = cv2.dilate(runs, np.ones((1, max(3, run // 2)), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(joined, 8, cv2.CV_32S, cv2.CCL_GRANA)
    found: list[_Run] = []
    if count <= 1:
        return found
    for label in np.argsort(-stats[1:, cv2.CC_STAT_WIDTH], kind="stable")[:MAX_RUNS] + 1:
        x, y, w, h = (int(value) for value in stats[label, :4])
        if w < run:
            break
        own = (labels[y : y + h, x : x + w] == label) & (runs[y : y + h, x : x + w] > 0)
        counts = own.sum(axis=0)
        columns = np.flatnonzero(counts)
        if len(columns) < run // 2:
            continue
        rows = (own * np.arange(h)[:, None]).sum(axis=0)[columns] / counts[columns]
        thickness = _median(counts[columns])
        off = np.abs(rows - _expected(columns, rows, _degree(w, run)))
        if _median(off) > STRAIGHT + thickness / 4 + BUMPY * w or thickness > thickest:
            continue
        near = off <= max(2.0, thickness)
        found.append(_Run(columns[near] + float(x), rows[near] + float(y), thickness))
    return found


def _expected(columns: npt.NDArray[np.int64], rows: Floats, degree: int) -> Floats:
    """Return the rows of the polynomial of least squares through points."""
    if degree > 1:
        return np.asarray(np.polynomial.Polynomial.fit(columns, rows, degree)(columns))
    offset, slope = _straight_through(columns, rows)
    return np.asarray(offset + slope * columns)


def _straight_through(columns: npt.NDArray[Any], rows: Floats) -> tuple[float, float]:
    """Return offset and slope of the straight line of least squares, in closed form: there are hundreds."""
    middle = columns.mean()
    at = columns - middle
    slope = float(at @ rows) / max(1.0, float(at @ at))
    return float(rows.mean() - slope * middle), slope


def _grouped(runs: list[_Run], run: int) -> list[list[_Run]]:
    """Return runs as lines: each run, the longest first, goes to the line that it continues."""
    groups: list[list[_Run]] = []
    # Of each group, at its left and at its right end: column, row, slope.
    left, right = np.empty((len(runs), 3)), np.empty((len(runs), 3))
    for one in runs:
        slope = one.slope
        start = np.array([one.columns[0], one.rows[0], slope])
        stop = np.array([one.columns[-1], one.rows[-1], slope])
        lefts, rights = left[: len(groups)], right[: len(groups)]
        before = lefts[:, 0] - stop[0] > start[0] - rights[:, 0]
        # Each end points to the other: half of the way with one slope, half of it with the other.
        gap = np.where(before, lefts[:, 0] - stop[0], start[0] - rights[:, 0])
        rise = np.where(before, lefts[:, 1] - stop[1], start[1] - rights[:, 1])
        expected = (np.where(before, lefts[:, 2], rights[:, 2]) + slope) / 2 * gap
        off = np.abs(rise - expected)
        inside = gap < 0
        # Straight from end to end, a line is nowhere farther away than it is bent.
        length = np.maximum(1, rights[:, 0] - lefts[:, 0])
        middle = (start[0] + stop[0]) / 2
        straight = lefts[:, 1] + (rights[:, 1] - lefts[:, 1]) * (middle - lefts[:, 0]) / length
        close = np.abs(straight - (start[1] + stop[1]) / 2) <= FAR + BENT_BY * length
        off[inside] = np.inf
        for index in np.flatnonzero(inside & close & (lefts[:, 0] < stop[0]) & (rights[:, 0] > start[0])):
            off[index] = _apart(groups[index], one)
        near = gap <= np.maximum(3 * run, GAP * (rights[:, 0] - lefts[:, 0]))
        off[~near] = np.inf
        best = int(np.argmin(off)) if groups else -1
        if best >= 0 and off[best] <= 2 + one.thickness / 2 + groups[best][0].thickness / 2:
            groups[best].append(one)
            left[best] = min(left[best], start, key=lambda end: float(end[0]))
            right[best] = max(right[best], stop, key=lambda end: float(end[0]))
        else:
            left[len(groups)], right[len(groups)] = start, stop
            groups.append([one])
    return groups


def _apart(group: list[_Run], one: _Run) -> float:
    """Return how many rows a run is from the nearest run of a line that it lies beside."""
    middle = (one.columns[0] + one.columns[-1]) / 2
    part = min(group, key=lambda part: abs((part.columns[0] + part.columns[-1]) / 2 - middle))
    rows = np.interp(one.columns, part.columns, part.rows)
    return _median(np.abs(rows - one.rows))


def _length(group: list[_Run]) -> float:
    """Return how many columns a line takes."""
    return float(max(part.columns[-1] for part in group) - min(part.columns[0] for part in group)) + 1


def _fit(group: list[_Run], run: int) -> np.polynomial.Polynomial:
    columns = np.concatenate([part.columns for part in group])
    rows = np.concatenate([part.rows for part in group])
    degree = _degree(float(np.ptp(columns)), run)
    return np.polynomial.Polynomial.fit(columns, rows, degree) if degree > 1 else straight_line(columns, rows)


def straight_line(columns: Floats, rows: Floats) -> np.polynomial.Polynomial:
    """Return the straight line of least squares through points, of one column at least."""
    ends = columns.min(), columns.max()
    offset, slope = _straight_through(columns, rows)
    return np.polynomial.Polynomial([offset, slope], domain=ends, window=ends)


def _degree(length: float, run: int) -> int:
    """Return the degree of the polynomial that a line of this length may be."""
    return 1 if length <= BENT * run else 2 if length <= CRUMPLED * run else 3


def _fitted(group: list[_Run], run: int) -> Line | None:
    """Return the line through runs, without those that it misses, such as the foot of a digit that stands on it."""
    curve = _fit(group, run)
    for _ in range(3):
        fitting = [
            part for part in group
            if _median(np.abs(curve(part.columns) - part.rows)) <= STRAIGHT + part.thickness / 2
        ]  # fmt: skip
        if len(fitting) == len(group) or not fitting:
            break
        group = fitting
        curve = _fit(group, run)
    columns = np.concatenate([part.columns for part in group])
    first, last = round(columns.min()), round(columns.max())
    if len(np.unique(columns)) < COVERED * (last - first + 1):
        return None
    weights = [len(part.columns) for part in group]
    thickness = float(np.average([part.thickness for part in group], weights=weights))
    return Line(curve, first, last, thickness)
