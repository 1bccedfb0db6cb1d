"""Tables whose level and upright lines cross: lattices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np

from edgemnist.read.grid import CROWDED, MAX_CELLS, Bools, Curve, Floats, Grid, edges, make_grid, snapped, vertices_of
from edgemnist.read.lines import Line, Mask, transposed

OVERRUN: Final = 0.1
"""A line may end before the one that it meets, by this share of its length and no more than `MAX_OVERRUN` pixels."""
MAX_OVERRUN: Final = 14
SUPPORTED: Final = 0.6
"""Share of a side of a cell, and of its first and last eighth, that is covered by ink."""
SIDES: Final = 3
"""A cell has at least so many sides; what merges with a neighbour lacks one."""
STRAY: Final = 0.3
"""A line that covers less than this share of a table is none of it: strokes of digits that are in a row."""
HARDLY: Final = 0.5
"""The outer rows and columns of a table have this share of their cells, at least."""
SMALLEST: Final = 10
"""Pixels; no digit fits between nearer lines."""


def find_lattices(mask: Mask, level: Sequence[Line], upright: Sequence[Line]) -> list[Grid]:
    """Return the tables that crossing lines make; `mask`, uint8 [h, w], is 1 for ink."""
    grids: list[Grid] = []
    turned = transposed(mask)
    for rows, columns in _components(_crossings(level, upright)):
        downs, acrosses = [level[index] for index in rows], [upright[index] for index in columns]
        downs, acrosses = _consistent(mask, downs, acrosses), _consistent(turned, acrosses, downs)
        if len(downs) > 1 and len(acrosses) > 1:
            grids += _tables(mask, downs, acrosses)
    return grids


def are_pattern(level: Sequence[Line], upright: Sequence[Line]) -> bool:
    """Tell squared paper from tables: more lines cross than those of the largest table."""
    return int(_crossings(level, upright).sum()) > MAX_CELLS


def _crossings(level: Sequence[Line], upright: Sequence[Line]) -> Bools:
    """Return bool [level, upright]: which lines cross, or meet."""
    if not level or not upright:
        return np.zeros((len(level), len(upright)), dtype=bool)
    (a, b, first, last), (c, d, start, stop) = _straight(level)[:, :, None], _straight(upright)[:, None]
    x = (c + d * a) / (1 - d * b)
    y = a + b * x
    aside, beyond = (np.minimum(MAX_OVERRUN, 2 + OVERRUN * length) for length in (last - first, stop - start))
    return np.asarray((x >= first - aside) & (x <= last + aside) & (y >= start - beyond) & (y <= stop + beyond))


def _straight(lines: Sequence[Line]) -> Floats:
    """Return offset, slope, first and last of the straight line through the ends of each: float64 [4, N]."""
    ends = np.array([(line.first, line.last, line.curve(line.first), line.curve(line.last)) for line in lines]).T
    slope = (ends[3] - ends[2]) / np.maximum(1, ends[1] - ends[0])
    return np.stack([ends[2] - slope * ends[0], slope, ends[0], ends[1]])


def _components(crossings: Bools) -> Iterator[tuple[list[int], list[int]]]:
    """Give the lines that are connected, each of which crosses two at least."""
    links = crossings.copy()
    while True:
        keep = links & (links.sum(axis=1) > 1)[:, None] & (links.sum(axis=0) > 1)
        if np.array_equal(keep, links):
            break
        links = keep
    left = links.any(axis=1)
    while left.any():
        rows: Bools = np.zeros(len(links), dtype=bool)
        rows[np.flatnonzero(left)[0]] = True
        while True:
            columns = links[rows].any(axis=0)
            more: Bools = np.asarray(links[:, columns].any(axis=1))
            if np.array_equal(more, rows):
                break
            rows = more
        left &= ~rows
        yield np.flatnonzero(rows).tolist(), np.flatnonzero(columns).tolist()


def _consistent(mask: Mask, lines: Sequence[Line], across: Sequence[Line]) -> list[Line]:
    """Return the lines in order, without those that cross or nearly cover a stronger one, or are weak beside it.

    A line is as strong as it has ink between the lines that it crosses, `across`.
    """
    halfway = np.median([line.middle for line in lines])
    at = np.sort([float(line.curve(halfway)) for line in across])
    strengths = [_strength(mask, line, at) for line in lines]
    kept: list[Line] = []
    strongest = max(strengths)
    for index in np.argsort(strengths)[::-1]:
        line = lines[index]
        if strengths[index] < STRAY * strongest:
            break
        for number, other in enumerate(kept):
            first, last = min(line.first, other.first), max(line.last, other.last)
            beside = np.linspace(line.first, line.last, 9)
            if np.abs(line.curve(beside) - other.curve(beside)).max() < SMALLEST:
                # A part of the stronger one.
                kept[number] = Line(other.curve, first, last, other.thickness)
                break
            throughout = np.linspace(first, last, 9)
            apart = line.curve(throughout) - other.curve(throughout)
            if apart.min() < 0 < apart.max() or np.abs(apart).min() < SMALLEST:
                break
        else:
            kept.append(line)
    middle = float(np.median(at))
    return sorted(kept, key=lambda line: float(line.curve(middle)))


def _strength(mask: Mask, line: Line, at: Floats) -> float:
    """Return how many pixels of a line have ink, from the first to the last of the columns at which others cross."""
    first, last = max(line.first, at[0] - MAX_OVERRUN, 0), min(line.last, at[-1] + MAX_OVERRUN, mask.shape[1] - 1)
    columns = np.arange(round(first), round(last) + 1)
    if not columns.size:
        return 0.0
    rows = np.rint(line.curve(columns)).astype(int)[None] + np.array([[-1], [0], [1]])
    return float((mask[rows.clip(0, mask.shape[0] - 1), columns] > 0).any(axis=0).sum())


def _tables(mask: Mask, downs: Sequence[Line], acrosses: Sequence[Line]) -> Iterator[Grid]:
    """Give the tables among connected lines: neighbouring cells that have sides."""
    level: list[Curve] = [(line.curve, line.thickness) for line in downs]
    upright: list[Curve] = [(line.curve, line.thickness) for line in acrosses]
    vertices = vertices_of(level, upright)
    across, down = (_is_line(sides) for sides in edges(mask, vertices, level, upright, CROWDED))
    # Ink alone is not enough: there is some beside every other line, too.
    across &= _reached(vertices[..., 0], downs)
    down &= _reached(vertices[..., 1].T, acrosses).T
    sides = across[:-1].astype(int) + across[1:] + down[:, :-1] + down[:, 1:]
    cells = (sides >= SIDES).astype(np.uint8)
    count, labels = cv2.connectedComponents(cells, connectivity=4)
    for label in range(1, count):
        top, left, height, width = _trimmed(labels == label)
        if not height * width:
            continue
        own = (labels[top : top + height, left : left + width] == label).astype(bool)
        rows = _without_strays(across[top : top + height + 1, left : left + width], own)
        columns = _without_strays(down[top : top + height, left : left + width + 1].T, own.T)
        table = [level[top + row] for row in rows], [upright[left + column] for column in columns]
        # What stands between two lines only is told more surely as a band.
        if len(table[0]) > 2:  # noqa: PLR2004
            yield from _made(mask, *table)


def _is_line(sides: Bools) -> Bools:
    """Tell which sides, bool [..., POINTS], reach from end to end; the stroke of a digit does not."""
    end = sides.shape[-1] // 8
    ends = np.minimum(sides[..., :end].mean(axis=-1), sides[..., -end:].mean(axis=-1))
    return np.asarray(np.minimum(sides.mean(axis=-1), ends) >= SUPPORTED)


def _reached(at: Floats, lines: Sequence[Line]) -> Bools:
    """Tell which sides, between points at `at`, float64 [lines, points], lie where their line was seen."""
    middle = (at[:, 1:] + at[:, :-1]) / 2
    first, last = (np.array([getattr(line, end) for line in lines])[:, None] for end in ("first", "last"))
    return np.asarray((middle >= first) & (middle <= last))


def _trimmed(own: Bools) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a table without outer rows and columns that are hardly there."""
    top, left, bottom, right = 0, 0, *own.shape
    while top < bottom and left < right:
        part = own[top:bottom, left:right]
        down, across = part.mean(axis=0), part.mean(axis=1)
        if across[0] < HARDLY:
            top += 1
        elif across[-1] < HARDLY:
            bottom -= 1
        elif down[0] < HARDLY:
            left += 1
        elif down[-1] < HARDLY:
            right -= 1
        else:
            break
    return top, left, bottom - top, right - left


def _without_strays(edge: Bools, own: Bools) -> list[int]:
    """Return the lines that cover enough edges; the outer ones always do."""
    last = len(edge) - 1
    beside = np.zeros_like(edge)
    beside[:-1] |= own
    beside[1:] |= own
    share = (edge & beside).sum(axis=1) / np.maximum(1, beside.sum(axis=1))
    return [row for row in range(last + 1) if row in (0, last) or share[row] >= STRAY]


def _made(mask: Mask, level: Sequence[Curve], upright: Sequence[Curve]) -> Iterator[Grid]:
    vertices = vertices_of(level, upright)
    (left, top), (right, bottom) = vertices.min(axis=(0, 1)), vertices.max(axis=(0, 1))
    turned = transposed(mask)
    level = [(snapped(mask, curve, left, right), curve[1]) for curve in level]
    upright = [(snapped(turned, curve, top, bottom), curve[1]) for curve in upright]
    grid = make_grid(mask, level, upright)
    if grid is not None and min(grid.cell_height, grid.cell_width) >= SMALLEST:
        yield grid
