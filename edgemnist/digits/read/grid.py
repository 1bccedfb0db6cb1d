"""A table as lines and cells."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
"""uint8 [h, w]: 1 for ink."""
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Curve: TypeAlias = tuple[np.polynomial.Polynomial, float]
"""A line, level ones from the column to the row, upright ones from the row to the column; and its thickness."""

WEAK: Final = 0.35
"""Share of a side of a cell that ink covers at least where a line is known to be."""
CLEAR: Final = 0.4
"""Share of its length by which ink covers a line more than what is beside it, at least."""
FEW: Final = 4
"""Cells of a table below which that has to be `SURELY_CLEAR`: strokes of letters and digits make small rectangles."""
SURELY_CLEAR: Final = 0.7
"""That share in a table of so few cells."""
APART: Final = 3
"""Pixels beyond the soft edge of a line at which it is looked beside it."""
MAX_CELLS: Final = 2500
"""Cells above which a table is a pattern."""
FARTHEST: Final = 1e6
"""Pixels from the page's corner at which the search for a crossing stops: lines that bend apart have none."""
INNER: Final = 0.8
"""Share of the way from a table's middle to its corners at which the points lie that tell whether it is in another."""
POINTS: Final = 24
"""Points of a side at which ink is looked for."""
MARGIN: Final = 0.06
"""Share of a side at each end that is left out, where other lines meet it."""
CROWDED: Final = 5
"""Pixels at each end of a lattice's side that are left out at least: beside a bold line a fine one is lost."""
MOST_CROWDED: Final = 0.12
"""Share of a side that those pixels take at most."""


@dataclass(frozen=True)
class Cell:
    """One cell; merged ones span several rows or columns."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True, eq=False)
class Grid:
    """Rows and columns of a table."""

    level: Sequence[Curve]
    """Its level lines, from top to bottom."""
    upright: Sequence[Curve]
    """Its upright lines, from left to right."""
    cells: tuple[Cell, ...]
    vertices: Floats
    """float64 [rows + 1, columns + 1, 2]: x, y where lines cross."""

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.level) - 1

    @property
    def columns(self) -> int:
        """How many columns."""
        return len(self.upright) - 1

    @cached_property
    def cell_height(self) -> float:
        """Of a usual cell, in pixels."""
        return float(np.median(np.diff(self.vertices[..., 1], axis=0)))

    @cached_property
    def cell_width(self) -> float:
        """Of a usual cell, in pixels."""
        return float(np.median(np.diff(self.vertices[..., 0], axis=1)))

    @property
    def corners(self) -> Floats:
        """float64 [4, 2]: x, y of the corners, clockwise from the upper left one."""
        return np.stack([self.vertices[0, 0], self.vertices[0, -1], self.vertices[-1, -1], self.vertices[-1, 0]])

    def locate(self, x: float, y: float) -> int | None:
        """Return the index of the cell in which a point lies, or None outside."""
        row = bisect_left(self.level, y, key=lambda curve: float(curve[0](x))) - 1
        column = bisect_left(self.upright, x, key=lambda curve: float(curve[0](y))) - 1
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            return None
        for index, cell in enumerate(self.cells):
            if cell.row <= row < cell.row + cell.rows and cell.column <= column < cell.column + cell.columns:
                return index
        return None

    @property
    def inner_points(self) -> Floats:
        """Return the middle, and points near the four corners, float64 [5, 2]: a neighbour has none of them."""
        middle = self.vertices.reshape(-1, 2).mean(axis=0)
        return np.concatenate([middle[None], middle + INNER * (self.corners - middle)])

    def quad(self, cell: Cell) -> Floats:
        """Return x, y of the corners of a cell, float64 [4, 2], clockwise from the upper left one."""
        top, bottom, left, right = cell.row, cell.row + cell.rows, cell.column, cell.column + cell.columns
        return np.stack([self.vertices[y, x] for y, x in ((top, left), (top, right), (bottom, right), (bottom, left))])


def make_grid(mask: Mask, level: Sequence[Curve], upright: Sequence[Curve]) -> Grid | None:
    """Return the table of lines in order, or None if they make none; `mask`, uint8 [h, w], is 1 for ink.

    Lines that do not stand out from what is beside them are left out: the edge of a sheet, or texture.
    """
    while len(level) > 1 and len(upright) > 1:
        if (len(level) - 1) * (len(upright) - 1) > MAX_CELLS:
            return None
        vertices = vertices_of(level, upright)
        if (np.diff(vertices[..., 1], axis=0) <= 1).any() or (np.diff(vertices[..., 0], axis=1) <= 1).any():
            return None
        across, down = (sides.mean(axis=-1) for sides in edges(mask, vertices, level, upright))
        beside_across, beside_down = _beside(mask, vertices, level, upright)
        few = (len(level) - 1) * (len(upright) - 1) < FEW
        least = SURELY_CLEAR if few else CLEAR
        kept = _clearness(across, beside_across) >= least
        stays = _clearness(down.T, beside_down.T) >= least
        if kept.all() and stays.all():
            return Grid(level, upright, _merged(across < WEAK, down < WEAK), vertices)
        level = [line for line, stay in zip(level, kept, strict=True) if stay]
        upright = [line for line, stay in zip(upright, stays, strict=True) if stay]
    return None


def _clearness(on: Floats, beside: Floats) -> Floats:
    """Return how much lines stand out, by which share of each of their sides is ink, and of what is beside it."""
    there = on >= WEAK
    clear = np.where(there, on - beside, np.nan)
    return np.array([np.nanmedian(of) if some.any() else 0.0 for some, of in zip(there, clear, strict=True)])


def vertices_of(level: Sequence[Curve], upright: Sequence[Curve]) -> Floats:
    """Return x, y of where lines cross: float64 [level, upright, 2]."""
    x = np.array([[float(curve(curve.domain.mean())) for curve, _ in upright]]).repeat(len(level), axis=0)
    y = np.empty_like(x)
    # Each is nearly straight, so this converges at once.
    for _ in range(4):
        for row, (curve, _) in enumerate(level):
            y[row] = np.clip(curve(x[row]), -FARTHEST, FARTHEST)
        for column, (curve, _) in enumerate(upright):
            x[:, column] = np.clip(curve(y[:, column]), -FARTHEST, FARTHEST)
    return np.stack([x, y], axis=-1)


def edges(
    mask: Mask, vertices: Floats, level: Sequence[Curve], upright: Sequence[Curve], crowded: float = 0
) -> tuple[Bools, Bools]:
    """Return where the sides of cells are covered by ink, at `POINTS` points each, `crowded` pixels from their ends.

    bool [level, upright - 1, POINTS] of the level ones, and bool [level - 1, upright, POINTS] of the upright ones.
    """
    across, down = _sides(vertices, level, upright)
    return _covered(mask, *across, crowded=crowded), _covered(mask, *down, crowded=crowded)


def _sides(
    vertices: Floats, level: Sequence[Curve], upright: Sequence[Curve]
) -> tuple[tuple[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]:
    """Return where the level and the upright sides of cells start and stop, and how thick they are."""
    across = vertices[:, :-1], vertices[:, 1:], np.array([thickness for _, thickness in level])[:, None]
    down = vertices[:-1], vertices[1:], np.array([thickness for _, thickness in upright])[None]
    return across, down


def _beside(mask: Mask, vertices: Floats, level: Sequence[Curve], upright: Sequence[Curve]) -> tuple[Floats, Floats]:
    """Return which share of what is beside the sides of cells is ink, as `edges` has them: on the side with more of it.

    Of a line with a single side, the lesser: a digit may lean against all of it.
    """
    shares = [
        [_covered(mask, *lines, side=side).mean(axis=-1) for side in (-1, 1)]
        for lines in _sides(vertices, level, upright)
    ]
    return tuple(
        np.minimum(*both) if both[0].shape[axis] == 1 else np.maximum(*both)
        for both, axis in zip(shares, (1, 0), strict=True)
    )


def _covered(mask: Mask, start: Floats, stop: Floats, thickness: Floats, *, side: int = 0, crowded: float = 0) -> Bools:
    """Return where straight lines between points, [..., 2], are covered by ink: bool [..., POINTS].

    `side` 0 is on the lines, and -1 or 1 on that side of them.
    """
    step = stop - start
    length = np.maximum(1e-9, np.hypot(step[..., 0], step[..., 1]))
    margin = np.clip(crowded / length, MARGIN, MOST_CROWDED)[..., None]
    share = margin + (1 - 2 * margin) * np.linspace(0, 1, POINTS)
    at = start[..., None, :] + step[..., None, :] * share[..., None]
    square = np.stack([-step[..., 1], step[..., 0]], axis=-1) / length[..., None]
    reach = np.broadcast_to(2 + thickness / 2, length.shape)
    middle = side * (reach + APART)
    wide = np.ones_like(reach) if side else reach
    found = np.zeros(at.shape[:-1], dtype=bool)
    for off in np.linspace(-1, 1, 2 * round(float(wide.max())) + 1):
        points = at + (middle + off * wide)[..., None, None] * square[..., None, :]
        x, y = np.rint(points[..., 0]).astype(int), np.rint(points[..., 1]).astype(int)
        height, width = mask.shape
        # A line may lie on the edge of the picture; beyond it, nothing is beside it.
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) if side else True
        found |= (mask[y.clip(0, height - 1), x.clip(0, width - 1)] > 0) & inside
    return found


def snapped(mask: Mask, curve: Curve, left: float, right: float) -> np.polynomial.Polynomial:
    """Return a level line fitted to the ink between two columns only: it may go on elsewhere, as another."""
    line, thickness = curve
    columns = np.arange(max(0, round(left)), min(mask.shape[1], round(right) + 1))
    reach = max(3, round(thickness))
    rows = np.rint(line(columns)).astype(int)[None] + np.arange(-reach, reach + 1)[:, None]
    inside = (rows >= 0) & (rows < mask.shape[0])
    ink = mask[rows.clip(0, mask.shape[0] - 1), columns[None]] * inside
    counts = ink.sum(axis=0)
    # Where a stroke crosses, all of the window is ink.
    bare = (counts > 0) & (counts <= thickness + 2)
    if bare.sum() < max(8, 0.25 * len(columns)):
        return line
    middle = (ink * rows).sum(axis=0)[bare] / counts[bare]
    return np.polynomial.Polynomial.fit(columns[bare], middle, max(2, line.degree()))


def _merged(no_level: Bools, no_upright: Bools) -> tuple[Cell, ...]:
    """Return the cells; those between which there is no line are merged if they make up a rectangle."""
    rows, columns = len(no_upright), no_level.shape[1]
    names = np.arange(rows * columns).reshape(rows, columns)
    for row, column in zip(*np.nonzero(no_upright[:, 1:-1]), strict=True):
        names[names == names[row, column + 1]] = names[row, column]
    for row, column in zip(*np.nonzero(no_level[1:-1]), strict=True):
        names[names == names[row + 1, column]] = names[row, column]
    cells: list[Cell] = []
    for name in np.unique(names):
        ys, xs = np.nonzero(names == name)
        height, width = int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1
        if height * width == len(ys):
            cells.append(Cell(int(ys.min()), int(xs.min()), height, width))
        else:
            cells += [Cell(int(y), int(x), 1, 1) for y, x in zip(ys, xs, strict=True)]
    return tuple(sorted(cells, key=lambda cell: (cell.row, cell.column)))
