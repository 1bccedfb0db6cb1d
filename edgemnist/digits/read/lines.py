"""Straight lines that are printed: those of frames, combs, grids and tables, and the rulings of paper.

A line is thin against its length and straight; it may lean by a few degrees, be bent as photographed paper is, and be
torn by grain, by light, and by the strokes that cross it. Rulings and the lines of tables go, and what crosses them
stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.grid import Curve, Floats, Grid, Mask

RUN: Final = 1 / 50
"""Straight run that a line has at least, as a share of the page's longer side."""
MIN_RUN: Final = 12
"""The same in pixels, on a small page."""
SHORTEST: Final = 2
"""Runs that a line is long at least: strokes of digits are shorter, or stand alone."""
THICKEST: Final = 0.015
"""Thickness of a line, as a share of the page's longer side, at most."""
MIN_THICKEST: Final = 5
"""The same in pixels, on a small page."""
STRAIGHT: Final = 1.5
"""Pixels that a run strays from straight in the median, at most, beside what its thickness gives."""
GAP: Final = 0.1
"""Gap between runs of one line, as a share of the longer one, at most; or three runs."""
COVERED: Final = 0.5
"""Share of a line's length in which it has ink, at least."""
MAX_RUNS: Final = 300
"""Runs of a direction that are looked at, the longest first: the work is bounded, whatever is shown."""
MAX_LINES: Final = 150
"""Lines of a direction, the longest first: a sheet of A4 has 148 where they are 2 mm apart."""
FAR: Final = 12
"""Pixels from a line within which a run beside it may be part of it."""
BENT: Final = 15
"""Runs in a row above which a line may be a parabola: a shorter one does not tell where its ends point to."""
CRUMPLED: Final = 22
"""Runs in a row above which it may be a cubic."""
BUMPY: Final = 0.003
"""Share of its length by which a line strays in the median, as folded paper does."""


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
    return _lines(_straight(mask, run, thickest_line(mask.shape)), run, SHORTEST * run)


def _lines(runs: list[_Run], run: int, least: float) -> list[Line]:
    """Return the lines that straight runs make, from top to bottom.

    `run` is the least length of a run, and `least` that of a line, in pixels.
    """
    long = (group for group in _grouped(runs, run) if _span(group) >= least)
    fitted = [_fitted(group, run) for group in long]
    kept = [line for line in fitted if line is not None and line.length >= least]
    kept.sort(key=lambda line: -line.length)
    return sorted(kept[:MAX_LINES], key=lambda line: line.middle)


def _span(group: list[_Run]) -> float:
    """Return how many columns runs cover from end to end: no line through them is longer."""
    return 1 + max(float(one.columns[-1]) for one in group) - min(float(one.columns[0]) for one in group)


def _level_runs(mask: Mask, run: int) -> Mask:
    """Return what belongs to straight runs of this many pixels, level within a few degrees."""
    # Grain tears thin lines, which are closed before their runs are measured.
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    # The steps of a slanted line are shorter than its runs have to be, unless each reaches over the next.
    thick = cv2.dilate(closed, np.ones((3, 1), np.uint8))
    level = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    return np.asarray(cv2.min(level, closed), dtype=np.uint8)


def _straight(mask: Mask, run: int, thickest: int) -> list[_Run]:
    """Return the straight runs of a page, longest first: at least `run` pixels long, and no thicker than `thickest`."""
    # Where an upright stroke crosses a line, it is not thin.
    solid = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thickest + 1, 1), np.uint8))
    runs = np.asarray(cv2.min(_level_runs(mask, run), cv2.subtract(mask, solid)), dtype=np.uint8)
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
        off = np.abs(rows - _fit(columns, rows, w, run)(columns))
        if _median(off) > STRAIGHT + thickness / 4 + BUMPY * w or thickness > thickest:
            continue
        near = off <= max(2.0, thickness)
        found.append(_Run(columns[near] + float(x), rows[near] + float(y), thickness))
    return found


def _fit(columns: npt.NDArray[Any], rows: Floats, length: float, run: int) -> np.polynomial.Polynomial:
    """Return the polynomial of least squares through points of a line: the longer it is, the more it may be bent."""
    if length > BENT * run:
        return np.polynomial.Polynomial.fit(columns, rows, 2 if length <= CRUMPLED * run else 3)
    # In closed form: there are hundreds.
    middle, ends = columns.mean(), (columns.min(), columns.max())
    at = columns - middle
    slope = float(at @ rows) / max(1.0, float(at @ at))
    return np.polynomial.Polynomial([float(rows.mean() - slope * middle), slope], domain=ends, window=ends)


def _grouped(runs: list[_Run], run: int) -> list[list[_Run]]:
    """Return runs as lines: each run, in their order, goes to the line that it continues."""
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
        close = np.abs(straight - (start[1] + stop[1]) / 2) <= FAR
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


def _fitted(group: list[_Run], run: int) -> Line | None:
    """Return the line through runs, without those that it misses, such as the foot of a digit that stands on it."""
    while True:
        columns = np.concatenate([part.columns for part in group])
        rows = np.concatenate([part.rows for part in group])
        curve = _fit(columns, rows, float(np.ptp(columns)), run)
        fitting = [
            part for part in group
            if _median(np.abs(curve(part.columns) - part.rows)) <= STRAIGHT + part.thickness / 2
        ]  # fmt: skip
        if len(fitting) == len(group) or not fitting:
            break
        group = fitting
    first, last = round(columns.min()), round(columns.max())
    if len(np.unique(columns)) < COVERED * (last - first + 1):
        return None
    weights = [len(part.columns) for part in group]
    thickness = float(np.average([part.thickness for part in group], weights=weights))
    return Line(curve, first, last, thickness)


RULING_RUN: Final = 1 / 30
"""Straight run of a ruling, as a share of the page's longer side, at least."""
RULING_SPAN: Final = 0.7
"""Length of a ruling, as a share of the page's side, at least: no stroke of a digit is so long."""
PRINTED: Final = 5
"""Lines across a page from which on they were printed: nobody draws so many."""
RULING_LENGTH: Final = 0.25
"""What `RULING_SPAN` is among printed ones, which grain or shade may tear."""
RULING_THICKNESS: Final = 0.006
"""Thickness of a ruling, as a share of the page's longer side, at most, and 3 pixels if that is less."""
SEGMENTS: Final = 8
"""Parts of a ruling in which its strength is measured, since a shadow or the end of the sheet changes it."""
UNEVEN: Final = 1.35
"""Factor by which a part takes more light than the usual part, at most: shade does not change what it takes."""
STEPS: Final = 3
"""Samples of a ruling's profile for each pixel."""
STRONGEST: Final = 0.92
"""Share of the light taken beyond which nothing can be told of what lies on a ruling."""


@dataclass(frozen=True)
class Rulings:
    """The lines that run across a page."""

    level: Sequence[np.polynomial.Polynomial]
    """From the column to the row; a parabola follows bent paper."""
    upright: Sequence[np.polynomial.Polynomial]
    """From the row to the column."""


def find_rulings(ink: Ink, level: int) -> Rulings:
    """Return the lines that run across a page, uint8 [h, w], level or upright within a few degrees.

    `level` is the least ink, 1 to 255, that counts as ink.
    """
    mask = (ink >= level).astype(np.uint8)
    return Rulings(_rulings(mask), _rulings(transposed(mask)))


def _rulings(mask: Mask) -> list[np.polynomial.Polynomial]:
    width, run = mask.shape[1], max(MIN_RUN, round(max(mask.shape) * RULING_RUN))
    # From left to right, so that what tore a ruling lies between two of its runs.
    runs = sorted(_straight(mask, run, _thickest_ruling(mask)), key=lambda one: float(one.columns[0]))
    lines = _lines(runs, run, max(SHORTEST * run, RULING_LENGTH * width))
    printed = sum(line.length >= RULING_SPAN * width for line in lines) >= PRINTED
    least = (RULING_LENGTH if printed else RULING_SPAN) * width
    return [line.curve for line in lines if line.length >= least]


def without_rulings(ink: Ink, rulings: Rulings) -> Ink:
    """Return the ink of a page, uint8 [h, w], without its rulings."""
    if not rulings.level and not rulings.upright:
        return ink
    cleared = ink.astype(np.float32) / np.float32(255)
    for curves in (rulings.level, rulings.upright):
        for curve in curves:
            _divide_away(cleared, curve)
        # With rows for columns, upright lines are level; and back again.
        cleared = np.asarray(cv2.transpose(cleared), dtype=np.float32)
    cleared *= 255
    cleared += 0.5
    return cleared.astype(np.uint8)


def _thickest_ruling(page: Ink | Mask | npt.NDArray[np.float32]) -> int:
    """Return how many pixels thick a ruling may be on a page, [h, w]."""
    side: int = max(page.shape)
    return max(3, round(side * RULING_THICKNESS))


def _medians(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the median of each row. To sort is several times as fast as NumPy's median."""
    values = np.sort(values, axis=1)
    middle = values.shape[1] // 2
    return np.asarray((values[:, middle] + values[:, ~middle]) / 2)


def _divide_away(ink: npt.NDArray[np.float32], curve: np.polynomial.Polynomial) -> None:
    """Take a line away from ink, float32 [h, w] from 0 to 1, in place."""
    height, width = ink.shape
    reach = _thickest_ruling(ink) + 1
    along = np.arange(width)
    middle = curve(along)
    offsets = np.arange(-reach * STEPS, reach * STEPS + 1) / STEPS
    sampled = cv2.remap(
        ink,
        np.broadcast_to(along.astype(np.float32), (len(offsets), width)).copy(),
        (middle[None] + offsets[:, None]).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Digits cover less than half of any part of a line, so its median is that of the bare line.
    segments = min(SEGMENTS, width)
    profile = np.stack([_medians(part) for part in np.array_split(sampled, segments, axis=1)])
    # A stroke that runs along the line may cover more of a short part.
    np.minimum(profile, UNEVEN * np.median(profile, axis=0), out=profile)
    rows = np.rint(middle)[None].astype(np.int64) + np.arange(-reach, reach + 1)[:, None]
    position = np.rint((rows - middle[None] + reach) * STEPS).clip(0, len(offsets) - 1).astype(np.int64)
    taken = profile[np.minimum(along * segments // width, segments - 1)[None], position].clip(0, STRONGEST)
    inside = (rows >= 0) & (rows < height)
    at = rows.clip(0, height - 1), np.broadcast_to(along, rows.shape)
    left = np.maximum(1 - (1 - ink[at]) / (1 - taken), 0)
    ink[at[0][inside], at[1][inside]] = left[inside]


SOFT_EDGE: Final = 1.5
"""Pixels that the soft edge of a table's line takes on either side."""
CROSSING_ROWS: Final = 2
"""Rows above and below such a line in which a stroke that crosses it is looked for."""
CROSSING_LEAN: Final = 0.5
"""Share of what it crosses by which such a stroke moves aside, at most, and one pixel."""


def without_grids(ink: Ink, grids: Sequence[Grid]) -> Ink:
    """Return the ink of a page, uint8 [h, w], without the lines of its tables."""
    if not grids:
        return ink
    left = ink.copy()
    turned = left.T
    for grid in grids:
        level, upright = _present(grid)
        for row, curve in enumerate(grid.level):
            _erase(left, curve, grid.vertices[row, :, 0], level[row])
        for column, curve in enumerate(grid.upright):
            _erase(turned, curve, grid.vertices[:, column, 1], upright[column])
    return left


UNDERLINE: Final = 1.5
"""Length of an underline, in heights of a digit, at least: no stroke of one is so long."""
THICK: Final = 0.2
"""Its thickness, in such heights, at most."""
UNDER: Final = 0.7
"""Height of what it joins from which on it lies under that; what is above the rest of it is an overline."""


def without_underline(ink: Ink, mask: Mask, height: float) -> bool:
    """Take the lines under and over a piece away from ink, uint8 [h, w], in place; return whether there is one.

    `mask`, uint8 [h, w], is 1 where the piece is, and `height` that of a digit, in pixels.
    """
    run = max(MIN_RUN, round(height))
    lines = _lines(_straight(mask, run, max(3, round(THICK * height))), run, UNDERLINE * height)
    found = [line for line in lines if max(line.middle, len(mask) - line.middle) >= UNDER * len(mask)]
    for line in found:
        ends = np.array([line.first, line.last], dtype=np.float64)
        _erase(ink, (line.curve, line.thickness), ends, np.ones(1, dtype=bool))
    return bool(found)


def _present(grid: Grid) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which sides there are: bool [rows + 1, columns] and bool [columns + 1, rows]."""
    level = np.ones((grid.rows + 1, grid.columns), dtype=bool)
    upright = np.ones((grid.columns + 1, grid.rows), dtype=bool)
    for cell in grid.cells:
        rows, columns = slice(cell.row, cell.row + cell.rows), slice(cell.column, cell.column + cell.columns)
        level[cell.row + 1 : cell.row + cell.rows, columns] = False
        upright[cell.column + 1 : cell.column + cell.columns, rows] = False
    return level, upright


def _erase(ink: Ink, curve: Curve, stops: Floats, present: npt.NDArray[np.bool_]) -> None:
    """Take a level line away from ink, in place, between those of its `stops` where it is present."""
    height, width = ink.shape
    line, thickness = curve
    reach = round(thickness / 2 + SOFT_EDGE)
    columns = np.arange(max(0, round(stops[0]) - reach), min(width, round(stops[-1]) + reach + 1))
    columns = columns[present[(np.searchsorted(stops, columns) - 1).clip(0, len(present) - 1)]]
    if not columns.size:
        return
    middle = np.rint(line(columns)).astype(int)
    near = middle[None] + np.arange(-reach, reach + 1)[:, None]
    inside = (near >= 0) & (near < height)
    brush = np.ones((1, 3 + 2 * round(CROSSING_LEAN * (2 * reach + 1) / 2)), np.uint8)
    beside = []
    for first in (middle - reach - CROSSING_ROWS, middle + reach + 1):
        rows = first[None] + np.arange(CROSSING_ROWS)[:, None]
        # What is beyond the edge of the picture crosses nothing.
        seen = np.where((rows >= 0) & (rows < height), ink[rows.clip(0, height - 1), columns[None]], 0)
        beside.append(cv2.dilate(seen.max(axis=0)[None], brush)[0])
    crossing = np.minimum(*beside)
    rows = near.clip(0, height - 1)
    kept = np.minimum(ink[rows, columns[None]], crossing[None])
    at = np.broadcast_to(columns, rows.shape)
    ink[rows[inside], at[inside]] = kept[inside]
