"""Taking the lines of tables out of the ink; the strokes that cross them stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.paper import Ink
from edgemnist.read.grid import Grid

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
