"""The staves of music, which are told from tables: five even lines, with notes and bars across them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.read.grid import Grid
from edgemnist.read.lines import Line

ROWS: Final = 4
LONG: Final = 10
EVEN: Final = 0.15
"""A staff has so many rows, is this much longer than high, and its rows differ by at most this share."""
SAME: Final = 3
"""Lines of one row lie within so many pixels."""

Floats = npt.NDArray[np.float64]


def is_staff(grid: Grid, level: Sequence[Line], upright: Sequence[Line]) -> bool:
    """Tell a staff, or a part of one that the stems of notes cut out of it, from a table; it may lie on its side.

    `level` and `upright` are the lines of the page.
    """
    across, down = np.ptp(grid.vertices[..., 0]), np.ptp(grid.vertices[..., 1])
    heights = np.diff(grid.vertices[..., 1].mean(axis=1))
    widths = np.diff(grid.vertices[..., 0].mean(axis=0))
    return bool(
        _is_even(heights, across, down)
        or _is_even(widths, down, across)
        or _is_part(grid.vertices, level)
        or _is_part(grid.vertices.transpose(1, 0, 2)[..., ::-1], upright)
    )


def _is_even(rows: Floats, long: float, high: float) -> bool:
    return len(rows) == ROWS and bool(np.ptp(rows) <= EVEN * rows.mean() and long >= LONG * high)


def _is_part(vertices: Floats, lines: Sequence[Line]) -> bool:
    """Tell whether all lines through vertices, float64 [lines, points, 2], are those of staves, which run on."""
    left, right = float(vertices[..., 0].min()), float(vertices[..., 0].max())
    staves = _staves([line for line in lines if line.first < right and line.last > left], (left + right) / 2)
    at = vertices[..., 1].mean(axis=1)
    return all(any(first <= row <= last for first, last in staves) for row in at)


def _staves(lines: Sequence[Line], column: float) -> list[tuple[float, float]]:
    """Return between which rows there are staves: five even lines that are alone."""
    # Notes part a line, and what is left of it lies in a row.
    parts: list[list[tuple[float, Line]]] = []
    for row, line in sorted(((float(line.curve(column)), line) for line in lines), key=lambda one: one[0]):
        if not parts or row - parts[-1][-1][0] > SAME:
            parts.append([])
        parts[-1].append((row, line))
    rows = np.array([np.mean([row for row, _ in part]) for part in parts])
    lengths = [max(line.last for _, line in part) - min(line.first for _, line in part) for part in parts]
    gaps = np.diff(rows, prepend=-np.inf, append=np.inf)
    found: list[tuple[float, float]] = []
    for first in range(len(rows) - ROWS):
        last = first + ROWS
        apart = gaps[first + 1 : last + 1]
        alone = min(gaps[first], gaps[last + 1]) > (1 + EVEN) * apart.max()
        if alone and _is_even(apart, min(lengths[first : last + 1]), rows[last] - rows[first]):
            slack = float(apart.mean()) / 2
            found.append((rows[first] - slack, rows[last] + slack))
    return found
