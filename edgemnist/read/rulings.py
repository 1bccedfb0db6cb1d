"""The lines of ruled and squared paper, and of tables: they go, the strokes that cross them stay.

A line takes a share of the light, and ink on it takes a share of what is left. So what a line takes is measured along
all of its length, where most of it is bare, and divided away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.paper import Ink
from edgemnist.read.grid import Grid
from edgemnist.read.lines import Floats, Mask, straight_line, transposed

RUN_SHARE: Final = 1 / 30
"""A ruling has straight runs at least this long, as a share of the page's side; slanted, it is a staircase."""
FOUND_SHARE: Final = 0.25
"""Runs that lie in a row are at least this long in all, as a share of the page's side; no stroke of a digit is."""
PRINTED: Final = 5
"""So many lines across a page are printed on it."""
TORN_SHARE: Final = 0.08
"""Runs of such lines, where grain or shade tore them, are at least this long, as a share of the page's side."""
SPAN_SHARE: Final = 0.7
"""A ruling reaches this far at least, from its first run to its last, as a share of the page's side."""
MAX_THICKNESS: Final = 0.006
"""A ruling is at most this thick, as a share of the page's longer side, and 3 pixels where that is less."""
COVERED: Final = 0.5
"""On a ruled page the runs of all lines lie in at least this share of the columns; those of large digits in fewer."""
MARGIN: Final = 0.025
"""Share of the page's side at its edge that has no rulings if the rest has none."""
FAT: Final = 3
"""What is this many times as thick as a ruling may be, both ways, is no stroke either: the table around a sheet."""
BARE: Final = 0.5
"""Digits stand on less than this share of a ruling."""
DEGREE: Final = 2
"""Of the polynomial that a ruling is: a photographed sheet is bent."""
SEGMENTS: Final = 8
"""A ruling's strength is measured in so many parts of its length, since a shadow or the end of the sheet changes it."""
UNEVEN: Final = 1.35
"""No part of a ruling takes more light than its usual part by this factor: shade does not change what it takes."""
STEPS: Final = 3
"""Its profile is sampled so many times a pixel."""
STRONGEST: Final = 0.92
"""Share of the light beyond which nothing can be told of what lies on a ruling."""
RESIDUE: Final = 0.12
"""What is left of a ruling is grain, where it takes less than this share of the light."""
MAX_LINES: Final = 150
"""Rulings of a direction: a sheet of A4 has 148 where they are 2 mm apart. The work is bounded, whatever is shown."""
MAX_RUNS: Final = 2000
"""That are looked at in a direction, the longest first: those lines may be torn into a dozen."""


@dataclass(frozen=True)
class _Line:
    """One ruling, level within a few degrees; a parabola follows bent paper."""

    curve: np.polynomial.Polynomial
    """From the column to the row."""
    first: int
    last: int
    """Columns between which it was seen."""


@dataclass(frozen=True)
class Rulings:
    """The lines that run across a page."""

    level: Sequence[_Line]
    upright: Sequence[_Line]
    """From the row to the column."""

    @property
    def are_of_paper(self) -> bool:
        """Whether there are so many that they were printed: nobody draws them."""
        return max(len(self.level), len(self.upright)) >= PRINTED


class _Groups:
    """Points of runs, put together to lines."""

    def __init__(self, width: int) -> None:
        """`width` is that of the page."""
        self._width = width
        self._points: list[tuple[Floats, Floats]] = []
        self._fits: list[np.polynomial.Polynomial] = []
        self._ends = np.empty((MAX_LINES, 2))
        """Rows at which the straight line through a group meets the left and the right edge of the page."""
        self._is_long: list[bool] = []

    @property
    def long(self) -> int:
        """How many reach across the page."""
        return sum(self._is_long)

    def lines(self) -> list[tuple[Floats, Floats]]:
        """Return columns and rows of the groups that are rulings."""
        if self.long >= PRINTED:
            return [group for group in self._points if len(np.unique(group[0])) >= FOUND_SHARE * self._width]
        return [group for group, is_long in zip(self._points, self._is_long, strict=True) if is_long]

    def add(self, columns: Floats, rows: Floats, thickest: int) -> None:
        """Add points to the line that they continue, or make them one of their own if it has room."""
        for index in self._near(columns, rows, thickest):
            if abs(float(np.median(self._fits[index](columns) - rows))) <= thickest:
                known_columns, known_rows = self._points[index]
                self._put(index, np.concatenate([known_columns, columns]), np.concatenate([known_rows, rows]))
                return
        if len(self._points) < MAX_LINES:
            self._put(len(self._points), columns, rows)

    def _near(self, columns: Floats, rows: Floats, thickest: int) -> list[int]:
        """Return the groups whose line may be within `thickest` of the points: the others cannot be."""
        at = np.array([columns.min(), columns.max()])[:, None] / self._width
        left, right = self._ends[: len(self._points)].T
        expected = left + (right - left) * at
        reach = thickest + 1
        near = (expected.min(axis=0) <= rows.max() + reach) & (expected.max(axis=0) >= rows.min() - reach)
        return np.flatnonzero(near).tolist()

    def _put(self, index: int, columns: Floats, rows: Floats) -> None:
        fit = straight_line(columns, rows)
        # A slice that begins at the end appends.
        self._points[index : index + 1] = [(columns, rows)]
        self._fits[index : index + 1] = [fit]
        self._is_long[index : index + 1] = [bool(np.ptp(columns) >= SPAN_SHARE * self._width)]
        self._ends[index] = fit(np.array([0.0, self._width]))


def find_rulings(ink: Ink, level: float) -> Rulings:
    """Return the lines that run across a page, uint8 [h, w], level or upright within a few degrees.

    `level` is the least ink, 1 to 255, that counts as ink.
    """
    mask = np.asarray(ink >= max(1, level), dtype=np.uint8)
    directions = [_may_be_ruled(mask), _may_be_ruled(mask, upright=True)]
    if not any(directions):
        return Rulings([], [])
    mask = np.asarray(cv2.subtract(ink, _fat(ink)) >= max(1, level), dtype=np.uint8)
    return Rulings(
        *(_lines(one) if ruled else [] for one, ruled in zip((mask, transposed(mask)), directions, strict=True))
    )


def without_rulings(ink: Ink, rulings: Rulings) -> Ink:
    """Return the ink of a page, uint8 [h, w], without its rulings."""
    if not rulings.level and not rulings.upright:
        return ink
    cleared = ink.astype(np.float32) / np.float32(255)
    for line in rulings.level:
        _divide_away(cleared, line)
    if rulings.upright:
        turned = np.asarray(cv2.transpose(cleared), dtype=np.float32)
        for line in rulings.upright:
            _divide_away(turned, line)
        cleared = np.asarray(cv2.transpose(turned), dtype=np.float32)
    cleared *= 255
    cleared += 0.5
    return cleared.astype(np.uint8)


def _fat(ink: Ink) -> Ink:
    """Return the ink of what is no stroke: the table around a sheet, the edge of a shadow. It would join all lines."""
    side = FAT * _thickest(ink)
    fat = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    # With its soft edge.
    return np.asarray(cv2.dilate(fat, np.ones((5, 5), np.uint8)), dtype=np.uint8)


def _thickest(page: Ink | Mask | npt.NDArray[np.float32]) -> int:
    """Return how many pixels thick a ruling may be on a page, [h, w]."""
    side: int = max(page.shape)
    return max(3, round(side * MAX_THICKNESS))


def _may_be_ruled(mask: Mask, *, upright: bool = False) -> bool:
    """Tell a page that may have rulings from most pages and frames, before anything costly is done."""
    runs = _runs(mask, upright=upright)
    across = int(upright)
    # A rim of the table is no line.
    margin = round(mask.shape[across] * MARGIN)
    inner = runs[:, margin : mask.shape[1] - margin] if upright else runs[margin : len(mask) - margin]
    return bool(inner.max(axis=across, initial=0).mean() >= COVERED)


def _lines(mask: Mask) -> list[_Line]:
    """Return the level lines, whose thin ink `mask` shows."""
    height, width = mask.shape
    thickest = _thickest(mask)
    # A slanted line is a staircase: its steps are joined before its length is taken.
    joined = cv2.morphologyEx(_runs(mask), cv2.MORPH_CLOSE, np.ones((3, _run(width)), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(joined, 8, cv2.CV_32S, cv2.CCL_GRANA)
    groups = _Groups(width)
    for label in np.argsort(-stats[1:, cv2.CC_STAT_WIDTH], kind="stable")[:MAX_RUNS] + 1 if count > 1 else ():
        x, y, w, h = (int(value) for value in stats[label, :4])
        # Among printed rulings, what is shorter is one of them that is torn.
        printed = groups.long >= PRINTED
        at_edge = y == 0 or y + h == height
        if (at_edge and not printed) or w < (TORN_SHARE if printed else FOUND_SHARE) * width:
            continue
        own = labels[y : y + h, x : x + w] == label
        # Where a digit stands on the line, it is thicker than itself.
        bare = own & (own.sum(axis=0) <= thickest)
        if at_edge:
            # One of the rulings may leave the picture, and what lies along its edge is none.
            bare &= ~(own[0] & (y == 0) | own[-1] & (y + h == height))
        rows, columns = bare.nonzero()
        # The lines are parabolas, which fewer points do not tell.
        if len(np.unique(columns)) >= max(BARE * w, DEGREE + 1):
            groups.add(columns + float(x), rows + float(y), thickest)
    return [
        _Line(np.polynomial.Polynomial.fit(columns, rows, DEGREE), int(columns.min()), int(columns.max()))
        for columns, rows in groups.lines()
    ]


def _run(length: int) -> int:
    """Return how many pixels long the runs of a ruling are at least that crosses so many."""
    return max(8, round(length * RUN_SHARE))


def _runs(mask: Mask, *, upright: bool = False) -> Mask:
    """Return what belongs to straight runs, level or upright within a few degrees."""

    def line(length: int, *, along: bool = True) -> Mask:
        return np.ones((length, 1) if along == upright else (1, length), np.uint8)

    # Grain tears thin lines, which are closed before their runs are measured.
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, line(5))
    # The steps of a thin slanted line are shorter than its runs have to be, unless each reaches over the next.
    thick = cv2.dilate(closed, line(3, along=False))
    runs = cv2.morphologyEx(thick, cv2.MORPH_OPEN, line(_run(mask.shape[0 if upright else 1])))
    return np.asarray(cv2.min(runs, closed), dtype=np.uint8)


def _medians(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the median of each row. To sort is several times as fast as NumPy's median."""
    values = np.sort(values, axis=1)
    middle = values.shape[1] // 2
    return np.asarray((values[:, middle] + values[:, ~middle]) / 2)


def _divide_away(ink: npt.NDArray[np.float32], line: _Line) -> None:
    """Take a line away from ink, float32 [h, w] from 0 to 1, in place."""
    height, width = ink.shape
    reach = _thickest(ink) + 1
    along = np.arange(width)
    middle = line.curve(along)
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
    before = ink[at]
    left = np.maximum(1 - (1 - before) / (1 - taken), 0)
    left[left < RESIDUE * (taken > RESIDUE / 2)] = 0
    ink[at[0][inside], at[1][inside]] = left[inside]


SOFT: Final = 1.5
"""Pixels beside a line that its soft edge takes, on either side."""
BESIDE: Final = 2
"""Rows above and below in which a stroke that crosses is looked for."""
LEAN: Final = 0.5
"""A stroke that crosses moves aside by at most this share of what it crosses, and one pixel."""


def without_grids(ink: Ink, grids: Sequence[Grid]) -> Ink:
    """Return the ink of a page, uint8 [h, w], without the lines of its tables."""
    if not grids:
        return ink
    left = ink.copy()
    turned = left.T
    for grid in grids:
        level, upright = _present(grid)
        for row, curve in enumerate(grid.level):
            _erase(left, curve, grid.level_thickness[row], grid.vertices[row, :, 0], level[row])
        for column, curve in enumerate(grid.upright):
            _erase(turned, curve, grid.upright_thickness[column], grid.vertices[:, column, 1], upright[column])
    return left


def _present(grid: Grid) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which sides there are: bool [rows + 1, columns] and bool [columns + 1, rows]."""
    level = np.ones((grid.rows + 1, grid.columns), dtype=bool)
    upright = np.ones((grid.columns + 1, grid.rows), dtype=bool)
    for cell in grid.cells:
        rows, columns = slice(cell.row, cell.row + cell.rows), slice(cell.column, cell.column + cell.columns)
        level[cell.row + 1 : cell.row + cell.rows, columns] = False
        upright[cell.column + 1 : cell.column + cell.columns, rows] = False
    return level, upright


def _erase(
    ink: Ink,
    curve: np.polynomial.Polynomial,
    thickness: float,
    stops: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
) -> None:
    """Take a level line away from ink, in place, between those of its `stops` where it is present."""
    height, width = ink.shape
    reach = round(thickness / 2 + SOFT)
    columns = np.arange(max(0, round(stops[0]) - reach), min(width, round(stops[-1]) + reach + 1))
    if not columns.size:
        return
    columns = columns[present[(np.searchsorted(stops, columns) - 1).clip(0, len(present) - 1)]]
    middle = np.rint(curve(columns)).astype(int)
    near = middle[None] + np.arange(-reach, reach + 1)[:, None]
    inside = (near >= 0) & (near < height)
    # What is beyond the edge of the picture crosses nothing.
    beside = [
        np.where((rows >= 0) & (rows < height), ink[rows.clip(0, height - 1), columns[None]], 0).max(axis=0)
        for rows in (
            middle[None] - reach - np.arange(1, BESIDE + 1)[:, None],
            middle[None] + reach + np.arange(1, BESIDE + 1)[:, None],
        )
    ]
    aside = 1 + round(LEAN * (2 * reach + 1) / 2)
    brush = np.ones((1, 2 * aside + 1), np.uint8)
    above, below = (cv2.dilate(one[None], brush)[0] for one in beside)
    crossing = np.minimum(above, below)
    rows = near.clip(0, height - 1)
    kept = np.minimum(ink[rows, columns[None]], crossing[None])
    at = np.broadcast_to(columns, rows.shape)
    ink[rows[inside], at[inside]] = kept[inside]
