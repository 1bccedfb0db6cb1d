"""The staves of music, which are told from tables: five even lines, and notes and bars across them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgemnist.read.grid import Floats, Grid
from edgemnist.read.lines import Line
from edgemnist.read.piece import Staff

ROWS: Final = 4
LONG: Final = 10
EVEN: Final = 0.15
"""A staff has so many rows, is this much longer than high, and its rows differ by at most this share."""
STEM: Final = 1.25
"""A note beyond the lines has its stem within so many heights of the staff."""
PART: Final = 0.2
"""Notes part a line; parts of less than this share of the longest are left out."""
SAME: Final = 3
"""Lines of one row lie within so many pixels."""


def find_staves(level: Sequence[Line]) -> list[Staff]:
    """Return the staves among the level lines of a page."""
    if not level:
        return []
    column = (min(line.first for line in level) + max(line.last for line in level)) / 2
    longest = max(line.length for line in level)
    # Where a short part of a line would be in the middle is not known.
    lines = [line for line in level if line.length >= PART * longest]
    return [_with_notes(staff) for staff in _staves(lines, column)]


def _with_notes(lines: Sequence[Line]) -> Staff:
    left, right = min(line.first for line in lines), max(line.last for line in lines)
    upper, lower = min(lines, key=lambda line: line.middle), max(lines, key=lambda line: line.middle)
    beyond = STEM * (lower.middle - upper.middle)
    top, bottom = (
        (float(line.curve(left)) + by, float(line.curve(right)) + by)
        for line, by in ((upper, -beyond), (lower, beyond))
    )
    return Staff(left - beyond, right + beyond, top, bottom)


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
    column = (left + right) / 2
    staves = _staves([line for line in lines if line.first < right and line.last > left], column)
    at = vertices[..., 1].mean(axis=1)
    spans = [_span(staff, column) for staff in staves]
    return all(any(first <= row <= last for first, last in spans) for row in at)


def _span(staff: Sequence[Line], column: float) -> tuple[float, float]:
    """Return from which row to which one a staff is, and half of a space beyond."""
    rows = [float(line.curve(column)) for line in staff]
    slack = (max(rows) - min(rows)) / ROWS / 2
    return min(rows) - slack, max(rows) + slack


def _staves(lines: Sequence[Line], column: float) -> list[list[Line]]:
    """Return the lines of each staff: five even ones that are alone."""
    # Notes part a line, and what is left of it lies in a row.
    parts: list[list[tuple[float, Line]]] = []
    for row, line in sorted(((float(line.curve(column)), line) for line in lines), key=lambda one: one[0]):
        if not parts or row - parts[-1][-1][0] > SAME:
            parts.append([])
        parts[-1].append((row, line))
    rows = np.array([np.mean([row for row, _ in part]) for part in parts])
    lengths = [max(line.last for _, line in part) - min(line.first for _, line in part) for part in parts]
    gaps = np.diff(rows, prepend=-np.inf, append=np.inf)
    found: list[list[Line]] = []
    for first in range(len(rows) - ROWS):
        last = first + ROWS
        apart = gaps[first + 1 : last + 1]
        alone = min(gaps[first], gaps[last + 1]) > (1 + EVEN) * apart.max()
        if alone and _is_even(apart, min(lengths[first : last + 1]), rows[last] - rows[first]):
            found.append([line for part in parts[first : last + 1] for _, line in part])
    return found
