"""The pieces of ink in the cells of tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.find import INK_SHARE
from edgemnist.images.mnist import stroke_contrast
from edgemnist.images.paper import Ink
from edgemnist.read.grid import Grid
from edgemnist.read.piece import Piece, Pieces, trimmed, without_rings

PALEST: Final = 40
"""Of 255: what takes less of the light is no writing, in a cell as elsewhere."""
WIDEST: Final = 0.4
"""No stroke of a digit is wider than this share of its cell."""
STRONG: Final = 96
"""Percentile of what is inked in a cell that tells how strong its ink is."""
INKED: Final = 25
"""Of 255: what takes less of the light is not looked at for that."""
INNER: Final = 0.12
"""Share of a cell at each side that is not looked at for that: what is left of its lines."""
FAINT: Final = 0.3
"""What is weaker than this share of a table's usual ink is a stain, or print on the back of the sheet."""
SMALLEST: Final = 0.12
"""What is smaller than this share of a cell's height, both ways, is a speck."""
SIDE: Final = 5
"""Pixels; what is smaller both ways is grain."""
THIN: Final = 0.14
NEAR: Final = 3
"""What is no thicker than this share of a cell and as near to its side as so many pixels was left of a line."""
MIN_HEIGHT: Final = 8
"""Pixels; a digit that is lower cannot be read, even where one is expected."""
SPECK: Final = 0.45
"""What is lower than this share of a table's digits is part of one, or a speck."""
LOWEST: Final = 0.2
"""Digits are at least this high, against the cells of their table."""
LARGE: Final = 1.1
FEW: Final = 0.3
"""On squared paper at least this share of the ink belongs to what is this much higher than a square."""
BEYOND: Final = 0.3
"""A piece that reaches into two cells by more than this share of both is cut at the line between them."""


LATTICE: Final = 3
"""Holes one below another that no digit has."""
HOLE: Final = 0.01
"""Share of a piece's box that a hole takes at least; others are grain."""


def pieces_in(ink: Ink, grid: Grid, number: int, most: int) -> Pieces:
    """Return the pieces of ink in table `number` of a page, whose lines are taken out of `ink`, uint8 [h, w].

    At most so many, those with the most ink.
    """
    by_ink = sorted(_pieces(ink, grid, number), key=lambda piece: -np.count_nonzero(piece.ink))
    pieces, left_out = by_ink[:most], [piece.box for piece in by_ink[most:]]
    if not pieces:
        return Pieces([], [], 0, left_out)
    heights = np.array([piece.box[3] for piece in pieces], dtype=np.float64)
    areas = np.array([np.count_nonzero(piece.ink) for piece in pieces], dtype=np.float64)
    typical = max(weighted_median(heights, areas), LOWEST * grid.cell_height)
    least = max(MIN_HEIGHT, SPECK * typical)
    return Pieces(
        without_rings([piece for piece in pieces if piece.box[3] >= least]),
        [piece for piece in pieces if piece.box[3] < least],
        typical,
        left_out,
    )


def is_lattice(piece: Piece) -> bool:
    """Tell lines that cross, of a table that was not found, from digits, which have two holes one below another."""
    ground = (piece.ink <= piece.ink.max() // 2).astype(np.uint8)
    padded = np.asarray(cv2.copyMakeBorder(ground, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1))
    count, _, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(padded, 4, cv2.CV_32S, cv2.CCL_GRANA)
    # The first is the ink, and what has the width of all is around it.
    if count < 2 + LATTICE:
        return False
    left, _, width, _, area = stats[1:].T
    holes = (area >= HOLE * ground.size) & (width < padded.shape[1])
    left, width = left[holes], width[holes]
    middle = left + width // 2
    below_one_another = ((left[:, None] <= middle) & ((left + width)[:, None] > middle)).sum(axis=0)
    return bool(below_one_another.max(initial=0) >= LATTICE)


def is_written_into(grid: Grid, found: Pieces) -> bool:
    """Tell a table from squared paper, on which digits are larger than the squares."""
    areas = np.array([np.count_nonzero(piece.ink) for piece in found.candidates], dtype=float)
    large = np.array([piece.box[3] > LARGE * grid.cell_height for piece in found.candidates])
    return not areas.size or float(areas[large].sum()) < FEW * float(areas.sum())


def _pieces(ink: Ink, grid: Grid, number: int) -> list[Piece]:
    left, top, right, bottom = _bounds(grid, ink.shape)
    part = _without_shade(ink[top:bottom, left:right], grid)
    least = _thresholds(part, grid, (left, top))
    mask = (part >= least).astype(np.uint8)
    _, named, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    labels = np.asarray(named, dtype=np.int32)
    found: list[Piece] = []
    for label in range(1, len(stats)):
        if stats[label, 2:4].max() < SIDE:
            continue
        whole = cut_out(part, labels, label, stats[label])
        x, y, w, h = whole.box
        for piece in _parted(replace(whole, box=(left + x, top + y, w, h)), grid):
            placed = _placed(piece, grid, number)
            if placed is not None and not is_lattice(placed):
                found.append(placed)
    return found


def blank_out(ink: Ink, grid: Grid) -> None:
    """Take all that is in a table away from ink, in place."""
    cv2.fillConvexPoly(ink, np.rint(grid.corners).astype(np.int32), 0)


def _bounds(grid: Grid, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = grid.vertices.min(axis=(0, 1)), grid.vertices.max(axis=(0, 1))
    return max(0, int(left)), max(0, int(top)), min(shape[1], int(right) + 2), min(shape[0], int(bottom) + 2)


def _without_shade(part: Ink, grid: Grid) -> Ink:
    """Return the ink of a table without what is wider than any stroke: shade and texture that its paper has."""
    side = max(3, round(WIDEST * min(grid.cell_height, grid.cell_width)))
    return np.asarray(cv2.morphologyEx(part, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8)), dtype=np.uint8)


def _thresholds(part: Ink, grid: Grid, origin: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return from which strength on there is ink, float32 [h, w]: cell by cell, since one is bold, the other pencil."""
    quads = np.stack([grid.quad(cell) for cell in grid.cells]) - np.array(origin)
    strengths = np.array([_strength(part, quad) for quad in quads])
    inked = strengths[strengths >= PALEST]
    usual = float(np.median(inked)) if inked.size else 0.0
    least = np.full(part.shape, np.inf, dtype=np.float32)
    for quad, strength in zip(quads, strengths, strict=True):
        if strength >= max(PALEST, FAINT * usual):
            cv2.fillConvexPoly(least, np.rint(quad).astype(np.int32), max(INKED, INK_SHARE * float(strength)))
    return least


def _strength(part: Ink, quad: npt.NDArray[np.float64]) -> float:
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    dx, dy = INNER * (right - left), INNER * (bottom - top)
    inner = part[max(0, int(top + dy)) : max(0, int(bottom - dy)), max(0, int(left + dx)) : max(0, int(right - dx))]
    inked = inner[inner >= INKED]
    return float(np.percentile(inked, STRONG)) if inked.size > SIDE else 0.0


def _parted(piece: Piece, grid: Grid) -> list[Piece]:
    """Return a piece, or the parts of it in two cells where it is a digit in each."""
    x, y, w, h = piece.box
    if w < 2 * BEYOND * grid.cell_width:
        return [piece]
    for curve in grid.upright[1:-1]:
        at = curve(np.arange(y, y + h)) - x
        if not BEYOND * grid.cell_width < at.mean() < w - BEYOND * grid.cell_width:
            continue
        before = np.arange(w) < at[:, None]
        parts = [np.where(side, piece.ink, 0) for side in (before, ~before)]
        if min(int(np.count_nonzero(part)) for part in parts) < 0.2 * np.count_nonzero(piece.ink):
            continue
        cut = [trimmed(piece, part.astype(np.uint8), 0) for part in parts]
        return [one for some in cut if some is not None for one in _parted(some, grid)]
    return [piece]


def cut_out(ink: Ink, labels: npt.NDArray[np.int32], label: int, stats: npt.NDArray[np.int32]) -> Piece:
    """Cut out a piece, with the soft edge of its strokes, which lies outside the mask.

    `labels`, `label` and `stats` are OpenCV's of connected components, all, one and its row.
    """
    x, y, w, h = (int(value) for value in stats[:4])
    left, top = max(0, x - 1), max(0, y - 1)
    right, bottom = min(ink.shape[1], x + w + 1), min(ink.shape[0], y + h + 1)
    own = (labels[top:bottom, left:right] == label).astype(np.uint8)
    near = cv2.dilate(own, np.ones((3, 3), np.uint8))
    return Piece((left, top, right - left, bottom - top), np.where(near, ink[top:bottom, left:right], 0))


def weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the least of values, [N], up to which there is half of the weights, [N]."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def _placed(piece: Piece, grid: Grid, number: int) -> Piece | None:
    """Return a piece with its cell, or None for a speck or what is left of a line."""
    x, y, w, h = piece.box
    index = grid.locate(x + w / 2, y + h / 2)
    if index is None:
        return None
    quad = grid.quad(grid.cells[index])
    height = float(quad[2:, 1].mean() - quad[:2, 1].mean())
    width = float(quad[1:3, 0].mean() - quad[[0, 3], 0].mean())
    if max(w, h) < SMALLEST * height or stroke_contrast(piece.ink) < PALEST:
        return None
    left, right = x - quad[[0, 3], 0].mean(), quad[1:3, 0].mean() - (x + w)
    above, below = y - quad[:2, 1].mean(), quad[2:, 1].mean() - (y + h)
    thin = THIN * min(width, height)
    thickness = max(*grid.level_thickness, *grid.upright_thickness) / 2
    near = NEAR + thickness
    if (w <= thin and min(left, right) <= near) or (h <= thin and min(above, below) <= near):
        return None
    return replace(piece, table=number, cell=index)
