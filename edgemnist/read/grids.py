"""Frames, combs, grids and tables: where their rows, columns and cells are.

Two level lines, one above the other, are a band. Where upright lines reach from one to the other, they part it into
cells; bands of cells that share a line are a table, whose lines may be missing in places, where cells are merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edgemnist.read.grid import WEAK, Curve, Floats, Grid, make_grid, snapped
from edgemnist.read.lines import Line, Mask
from edgemnist.read.staff import is_staff

ROWS: Final = 32
"""A band is looked at in so many rows."""
LOWEST: Final = 14
"""Pixels; no digit fits into a lower band."""
HIGHEST: Final = 0.5
"""A band is at most this high, as a share of the page's longer side."""
LEAN: Final = 0.2
"""An upright line leans by at most this share of its height, besides being square to its band."""
SHARED: Final = 0.5
"""Lines are a band where they lie above one another for this share of the shorter one, at least."""
REACH: Final = 0.6
"""An upright line covers at least this share of the height of a band, and of its first and last eighth."""
BEYOND: Final = (0.15, 0.5)
CORNER: Final = 0.6
CORNERS: Final = 3
"""A line ends at a corner where less than this share of it, so far beyond against the height of the band, is ink; of
four corners so many are there at least."""
SLIT: Final = 2
"""Columns that an upright line may lack, where it leans."""
ALIKE: Final = 0.25
"""Columns that are covered by up to this much less of the height than the best one are part of the same line: where a
digit leans against it, a few are covered more."""
SHIFTS: Final = 25
"""So many leans are tried."""
FAT: Final = 0.3
"""What is wider than this share of the height of a band, and `MIN_FAT` pixels, is no upright line but a dark field."""
MIN_FAT: Final = 8
SAME_COLUMN: Final = 0.3
"""Upright lines of two bands are one where they are nearer than this share of the width of a usual cell."""
LOWER: Final = 0.75
ALMOST: Final = 0.6
"""A band is two rows where one of less than this share of its height has this share of its cells, at least."""
OVERLAP: Final = 0.25
"""Bands that share more than this share of the lower one's height exclude one another."""
EDGE: Final = 0.01
"""What is nearer than this share of the picture's longer side to its edge may be the edge of the sheet."""
NESTED: Final = 4
"""Cells that a table in a cell of another one has at least: what has fewer may be a digit."""
MAX_PAIRS: Final = 100
"""Pairs of lines that are looked at, the longest first: the work is bounded."""


@dataclass(frozen=True)
class _Upright:
    """One upright line in a band."""

    top: float
    """Column at which it meets the upper line of the band."""
    bottom: float
    thickness: float


@dataclass(frozen=True)
class _Band:
    """Cells side by side between two lines."""

    upper: int
    lower: int
    """Indices of the lines."""
    above: Line
    below: Line
    uprights: tuple[_Upright, ...]

    @property
    def cells(self) -> int:
        return len(self.uprights) - 1

    @property
    def left(self) -> float:
        return (self.uprights[0].top + self.uprights[0].bottom) / 2

    @property
    def right(self) -> float:
        return (self.uprights[-1].top + self.uprights[-1].bottom) / 2

    @property
    def top(self) -> float:
        return float(self.above.curve((self.left + self.right) / 2))

    @property
    def height(self) -> float:
        return float(self.below.curve((self.left + self.right) / 2)) - self.top

    def shares(self, other: _Band) -> bool:
        """Tell whether two bands lie above one another."""
        shared = min(self.right, other.right) - max(self.left, other.left)
        return shared >= SHARED * min(self.right - self.left, other.right - other.left)

    def overlaps(self, other: _Band) -> bool:
        """Tell whether two bands lie in each other's place."""
        both = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return both > OVERLAP * min(self.height, other.height) and min(self.right, other.right) > max(
            self.left, other.left
        )


def find_grids(mask: Mask, level: Sequence[Line], upright: Sequence[Line], lattices: Sequence[Grid] = ()) -> list[Grid]:
    """Return the tables of a page whose lines and lattices are known; upright ones go from the row to the column."""
    bands = _bands(mask, level, upright, lattices)
    grids = [*lattices]
    grids += [grid for group in _linked(bands) if (grid := _grid(mask, level, group)) is not None]
    return _apart([grid for grid in grids if not (_is_sheet(grid, mask.shape) or is_staff(grid, level, upright))])


def _is_sheet(grid: Grid, shape: tuple[int, ...]) -> bool:
    """Tell ruled paper, whose only other lines are the edges of the picture, from a table."""
    height, width = shape
    (left, top), (right, bottom) = grid.vertices.min(axis=(0, 1)), grid.vertices.max(axis=(0, 1))
    edge = EDGE * max(shape)
    across = grid.columns == 1 and left <= edge and right >= width - 1 - edge
    down = grid.rows == 1 and top <= edge and bottom >= height - 1 - edge
    return bool(across or down)


def _bands(mask: Mask, lines: Sequence[Line], uprights: Sequence[Line], known: Sequence[Grid]) -> list[_Band]:
    """Return the bands of cells; of those that lie in each other's place, the ones with the most cells."""
    found: list[_Band] = []
    for upper, lower, span in _pairs(lines, uprights, HIGHEST * max(mask.shape)):
        middle = (span[0] + span[1]) / 2
        if any(grid.locate(middle, (lines[upper].middle + lines[lower].middle) / 2) is not None for grid in known):
            continue
        parts = _cells_between(mask, lines[upper], lines[lower], span)
        found += [_Band(upper, lower, lines[upper], lines[lower], part) for part in parts]
    kept: list[_Band] = []
    for band in sorted(found, key=lambda band: (-band.cells, band.height)):
        # Not two rows as one, however many uprights the lower ones lack.
        lower_ones = (other for other in found if other.height < LOWER * band.height and other.upper == band.upper)
        if any(other.cells >= ALMOST * band.cells and band.shares(other) for other in lower_ones):
            continue
        if not any(band.overlaps(other) for other in kept):
            kept.append(band)
    return kept


def _pairs(lines: Sequence[Line], uprights: Sequence[Line], highest: float) -> list[tuple[int, int, tuple[int, int]]]:
    """Return pairs of lines between which upright ones lie, and the columns that they share."""
    if len(lines) < 2 or len(uprights) < 2:  # noqa: PLR2004 - a cell has two sides each way
        return []
    firsts, lasts = np.array([line.first for line in lines]), np.array([line.last for line in lines])
    starts, stops = np.array([line.first for line in uprights]), np.array([line.last for line in uprights])
    middles = np.array([line.middle for line in uprights])
    upper, lower = np.triu_indices(len(lines), 1)
    first, last = np.maximum(firsts[upper], firsts[lower]), np.minimum(lasts[upper], lasts[lower])
    shorter = np.minimum((lasts - firsts)[upper], (lasts - firsts)[lower])
    rows = np.array([line.middle for line in lines])
    apart = rows[lower] - rows[upper]
    likely = (last - first >= SHARED * shorter) & (apart >= LOWEST / 2) & (apart <= 2 * highest)
    pairs: list[tuple[int, int, tuple[int, int]]] = []
    for index in np.flatnonzero(likely).tolist():
        above, below = lines[upper[index]], lines[lower[index]]
        span = np.array([first[index], last[index]])
        tops, bottoms = above.curve(span), below.curve(span)
        heights = bottoms - tops
        if heights.min() < LOWEST or heights.max() > highest or heights.max() > 2 * heights.min():
            continue
        height = (heights[0] + heights[1]) / 2
        covered = np.minimum(stops, bottoms.mean()) - np.maximum(starts, tops.mean())
        between = (middles >= span[0] - height / 2) & (middles <= span[1] + height / 2)
        if np.count_nonzero(between & (covered >= SHARED * height)) > 1:
            pairs.append((int(upper[index]), int(lower[index]), (int(span[0]), int(span[1]))))
    pairs.sort(key=lambda pair: pair[2][0] - pair[2][1])
    return pairs[:MAX_PAIRS]


def _cells_between(mask: Mask, above: Line, below: Line, span: tuple[int, int]) -> list[tuple[_Upright, ...]]:
    """Return the upright lines between two lines, in groups that are cells side by side."""
    height = float(np.mean(below.curve(np.array(span)) - above.curve(np.array(span))))
    first = max(0, round(span[0] - 0.6 * height))
    last = min(mask.shape[1] - 1, round(span[1] + 0.6 * height))
    columns = np.arange(first, last + 1, dtype=np.float64)
    top, bottom = above.curve(columns), below.curve(columns)
    # Square to the band: where it slopes, upright lines lean as much.
    slope = float((bottom[-1] + top[-1] - bottom[0] - top[0]) / 2 / max(1, last - first))
    uprights = _uprights(mask, columns, (top + above.thickness / 2, bottom - below.thickness / 2), height, -slope)
    groups: list[list[_Upright]] = [[]]
    for upright in uprights:
        if groups[-1]:
            before = groups[-1][-1]
            covers = [
                _coverage(mask, np.linspace(start, stop, 24)[2:-2], line.curve, line.thickness)
                for line, start, stop in ((above, before.top, upright.top), (below, before.bottom, upright.bottom))
            ]
            if min(covers) < WEAK:
                groups.append([])
        groups[-1].append(upright)
    return [tuple(group) for group in groups if len(group) > 1 and _has_corners(mask, (above, below), group, height)]


def _has_corners(mask: Mask, lines: tuple[Line, Line], uprights: Sequence[_Upright], height: float) -> bool:
    """Tell cells from strokes that reach from one ruling to the next: the lines of cells end where the cells do."""
    ends = 0
    for line, columns in zip(lines, ("top", "bottom"), strict=True):
        for upright, sign in ((uprights[0], -1), (uprights[-1], 1)):
            at = getattr(upright, columns) + sign * (upright.thickness + np.linspace(BEYOND[0], BEYOND[1], 16) * height)
            ends += _coverage(mask, at, line.curve, line.thickness) < CORNER
    return ends >= CORNERS


def _uprights(mask: Mask, columns: Floats, edges: tuple[Floats, Floats], height: float, lean: float) -> list[_Upright]:
    top, bottom = edges
    share = ((np.arange(ROWS) + 0.5) / ROWS)[:, None]
    rows = top + (bottom - top) * share
    strip = cv2.remap(
        mask,
        np.broadcast_to(columns.astype(np.float32), rows.shape).copy(),
        rows.astype(np.float32),
        cv2.INTER_NEAREST,
    )
    strip = cv2.dilate(strip, np.ones((1, 3), np.uint8))
    width = strip.shape[1]
    shifts = np.unique(np.rint(np.linspace(lean - LEAN, lean + LEAN, SHIFTS) * height).astype(int))
    best = np.zeros(width)
    shift_of = np.zeros(width, dtype=int)
    end = ROWS // 8
    pad = int(np.abs(shifts).max()) // 2 + 1
    padded = np.pad(strip, ((0, 0), (pad, pad)))
    for shift in shifts[np.argsort(np.abs(shifts - lean * height), kind="stable")]:
        moves = np.rint((share[:, 0] - 0.5) * shift).astype(int) + pad
        counts = [
            sum((padded[row, moves[row] : moves[row] + width] for row in rows), start=np.zeros(width, np.uint8))
            for rows in (range(end), range(end, ROWS - end), range(ROWS - end, ROWS))
        ]
        total = counts[0] + counts[1] + counts[2]
        reaches = (total >= REACH * ROWS) & (np.minimum(counts[0], counts[2]) >= REACH * end)
        cover = np.where(reaches, total / ROWS, 0)
        better = cover > best + 1e-9
        best[better], shift_of[better] = cover[better], shift
    found: list[_Upright] = []
    inside = np.flatnonzero(best > 0)
    fattest = max(MIN_FAT, FAT * height)
    for part in np.split(inside, np.flatnonzero(np.diff(inside) > SLIT) + 1) if inside.size else ():
        strong = part[best[part] >= best[part].max() - ALIKE]
        thickness = float(max(1, len(strong) - 2))
        if thickness > fattest:
            continue
        at = float(columns[0] + strong.mean())
        shift = float(np.median(shift_of[strong]))
        found.append(_Upright(at - shift / 2, at + shift / 2, thickness))
    return found


def _coverage(mask: Mask, along: Floats, curve: np.polynomial.Polynomial, thickness: float) -> float:
    """Return the share of points of a line, at columns `along`, at which there is ink."""
    reach = 1 + round(thickness / 2)
    rows = np.rint(curve(along)).astype(int)[None] + np.arange(-reach, reach + 1)[:, None]
    columns = np.rint(along).astype(int)
    valid = (columns >= 0) & (columns < mask.shape[1])
    rows = rows.clip(0, mask.shape[0] - 1)
    return float((mask[rows[:, valid], columns[valid]] > 0).any(axis=0).sum() / max(1, len(along)))


def _linked(bands: Sequence[_Band]) -> list[list[_Band]]:
    """Return bands as tables: those that share a line, and lie above one another."""
    names = list(range(len(bands)))

    def root(index: int) -> int:
        while names[index] != index:
            index = names[index]
        return index

    for one, band in enumerate(bands):
        for other in range(one):
            below, above = (band, bands[other]) if band.upper == bands[other].lower else (bands[other], band)
            if below.upper != above.lower:
                continue
            if band.shares(bands[other]):
                names[root(one)] = root(other)
    groups: dict[int, list[_Band]] = {}
    for index, band in enumerate(bands):
        groups.setdefault(root(index), []).append(band)
    return [sorted(group, key=lambda band: band.upper) for group in groups.values()]


def _grid(mask: Mask, lines: Sequence[Line], bands: Sequence[_Band]) -> Grid | None:
    # Of two bands between the same lines, apart by a gap, the wider is the table.
    by_upper: dict[int, _Band] = {}
    for band in sorted(bands, key=lambda band: band.right - band.left):
        by_upper[band.upper] = band
    chain = _longest_chain(by_upper)
    level = [lines[chain[0].upper], *(lines[band.lower] for band in chain)]
    uprights = _columns(level, chain)
    if uprights is None:
        return None
    left, right = float(np.mean([band.left for band in chain])), float(np.mean([band.right for band in chain]))
    curves = [(snapped(mask, (line.curve, line.thickness), left, right), line.thickness) for line in level]
    return make_grid(mask, curves, uprights)


def _longest_chain(by_upper: dict[int, _Band]) -> list[_Band]:
    best: list[_Band] = []
    lowers = {band.lower for band in by_upper.values()}
    for start, first in by_upper.items():
        if start in lowers:
            continue
        chain = [first]
        while chain[-1].lower in by_upper:
            chain.append(by_upper[chain[-1].lower])
        best = max(best, chain, key=len)
    return best


def _columns(level: Sequence[Line], chain: Sequence[_Band]) -> list[Curve] | None:
    """Return the upright lines through all bands, from left to right, as curves with their thickness."""
    # Columns are compared as shares of the width of the table, which leans and narrows in a photograph.
    at = np.array([np.mean([level[i].middle, level[i + 1].middle]) for i in range(len(chain))])
    degree = 1 if len(chain) > 1 else 0
    left = np.polynomial.Polynomial.fit(at, [band.left for band in chain], degree)
    right = np.polynomial.Polynomial.fit(at, [band.right for band in chain], degree)
    found = sorted(
        ((upright.top + upright.bottom) / 2 - left(at[row])) / max(1.0, right(at[row]) - left(at[row]))
        for row, band in enumerate(chain)
        for upright in band.uprights
    )
    widths = [
        np.diff([(upright.top + upright.bottom) / 2 for upright in band.uprights]) / max(1.0, band.right - band.left)
        for band in chain
    ]
    tolerance = SAME_COLUMN * float(np.median(np.concatenate(widths)))
    centres: list[list[float]] = []
    for share in found:
        if centres and share - float(np.mean(centres[-1])) <= tolerance:
            centres[-1].append(share)
        else:
            centres.append([share])
    # A stroke of a digit may reach from line to line in one row of many.
    needed = max(1, 0.25 * len(chain))
    shares = np.array([np.mean(centre) for centre in centres if len(centre) >= needed])
    if len(shares) < 2:  # noqa: PLR2004 - a cell has two sides
        return None
    curves: list[Curve] = []
    for share in shares:
        points: list[tuple[float, float]] = []
        thickness: list[float] = []
        for row, band in enumerate(chain):
            expected = left(at[row]) + share * (right(at[row]) - left(at[row]))
            nearest = min(band.uprights, key=lambda one: abs((one.top + one.bottom) / 2 - expected))
            if abs((nearest.top + nearest.bottom) / 2 - expected) <= tolerance * (right(at[row]) - left(at[row])):
                points += [
                    (float(level[row].curve(nearest.top)), nearest.top),
                    (float(level[row + 1].curve(nearest.bottom)), nearest.bottom),
                ]
                thickness.append(nearest.thickness)
        y, x = np.array(points).T
        curve = np.polynomial.Polynomial.fit(y, x, 2 if len(thickness) > 4 else 1)  # noqa: PLR2004 - bands
        curves.append((curve, float(np.median(thickness))))
    return curves


def _apart(grids: Sequence[Grid]) -> list[Grid]:
    """Return the tables without those in a larger one's place; in a single cell of it, a table is one of its own."""
    kept: list[Grid] = []
    for grid in sorted(grids, key=lambda grid: -len(grid.cells)):
        within = [{other.locate(*point) for point in grid.inner_points} for other in kept]
        if all(None in cells or (len(cells) == 1 and len(grid.cells) >= NESTED) for cells in within):
            kept.append(grid)
    return sorted(kept, key=lambda grid: (grid.corners[0, 1], grid.corners[0, 0]))
