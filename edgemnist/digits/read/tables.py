"""Frames, combs, grids and tables: where their rows, columns and cells are.

Lines that cross are a lattice. Two level lines, one above the other, are a band: where upright lines reach from one to
the other, they part it into cells, and bands of cells that share a line are a table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.images.paper import DARKEST_GROUND
from edgemnist.digits.read.grid import (
    CROWDED,
    FEW,
    MAX_CELLS,
    WEAK,
    Bools,
    Curve,
    Floats,
    Grid,
    Mask,
    edges,
    make_grid,
    snapped,
    vertices_of,
)
from edgemnist.digits.read.lines import Line, find_lines, thickest_line, transposed

FAINTEST: Final = 16
"""Light that a line takes at least, of 255, however even the paper is."""
NOISE: Final = 2.5
"""Times as much of the light as the usual pixel of paper that a line takes at least."""
FAINT: Final = 0.5
"""Share of that which a faint line takes at least."""
ALONG: Final = 0.75
"""Share of it that a faint line takes in the mean along `FAINT_REACH`, over which noise averages out."""
FAINT_REACH: Final = 15
"""Pixels along a faint line over which that mean goes."""
FURTHER: Final = 0.5
"""Cells beyond a table from which on its lines may be those of a larger one."""
MORE_CELLS: Final = 1.1
"""Times as many cells as without them that a table of faint lines has at least."""
HALO: Final = 0.35
"""Share of the strongest ink beside it below which ink is the soft edge of that."""
HALO_SIDE: Final = 9
"""Side, in pixels, of the square in which that is looked for."""
FIELD_LIGHT: Final = 0.5
"""Share of the light of the brightest paper near it that a dark field has at most."""
COARSE: Final = 8
"""Side, in pixels, of the squares by which fields are told."""
AROUND: Final = 25
"""Squares a side in which the brightest paper is looked for."""
LARGEST_FIELD: Final = 0.6
"""Share of the page's longer side: larger ones are the table around a sheet, or a shadow."""
RIM: Final = 5
"""Pixels of the brush that draws the outline of a field, of which half are outside: it is two pixels wide."""


def find_tables(grey: Grey, *, dark: bool) -> list[Grid]:
    """Return the tables of a page, uint8 [h, w], from top to bottom; `dark` if ink is darker than paper."""
    contrast = _contrast(grey, dark=dark)
    lines = _Lines(contrast.mask)
    # A frame has two level lines; on squared paper more lines cross than those of the largest table.
    if len(lines.level) < 2 or int(_crossings(lines.level, lines.upright).sum()) > MAX_CELLS:  # noqa: PLR2004 - sides
        return []
    grids = find_lattices(lines.mask, lines.level, lines.upright)
    if not grids or any(_goes_on(lattice, lines) for lattice in grids):
        grids = _with_faint_lines(grids, _Lines(contrast.mask | contrast.faint))
    for chain in _chains(_bands(lines.mask, lines.level, lines.upright, grids)):
        if (grid := _table_of(lines.mask, lines.level, chain)) is not None:
            grids = [*grids, grid]
    return _tables_apart([grid for grid in grids if not _is_sheet(grid, lines.mask.shape)])


@dataclass(frozen=True)
class _Lines:
    """The lines in a mask."""

    mask: Mask

    @cached_property
    def level(self) -> list[Line]:
        return find_lines(self.mask)

    @cached_property
    def upright(self) -> list[Line]:
        return find_lines(transposed(self.mask))


@dataclass(frozen=True)
class _Contrast:
    """How much thin ink stands out from what is beside."""

    taken: Mask
    """uint8 [h, w]: the share of the light that it takes."""
    level: float
    """From so much on, it is ink."""
    mask: Mask
    """uint8 [h, w]: 1 for ink."""

    @property
    def faint(self) -> Mask:
        """uint8 [h, w]: 1 for what is fainter, and in line with as much, as neither noise nor the edge of ink is."""
        weak = (self.taken >= FAINT * self.level) & (self.taken >= _soft(self.taken))
        faint = np.zeros_like(weak)
        for along, across in (((FAINT_REACH, 1), (1, HALO_SIDE)), ((1, FAINT_REACH), (HALO_SIDE, 1))):
            beside = cv2.dilate(self.mask, np.ones(across[::-1], np.uint8))
            faint |= weak & (beside == 0) & (cv2.blur(self.taken, along) >= ALONG * self.level)
        return faint.astype(np.uint8)


def _contrast(grey: Grey, *, dark: bool) -> _Contrast:
    light = grey if dark else 255 - grey
    side = 2 * thickest_line(grey.shape) + 1
    closed = np.asarray(cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), dtype=np.uint8)
    # The share of the light that is taken, as in `images.paper`, against the paper right beside.
    taken = np.asarray(cv2.divide(closed - light, np.maximum(closed, DARKEST_GROUND), scale=255), dtype=np.uint8)
    counts = cv2.calcHist([taken], [0], None, [256], [0, 256]).ravel().cumsum()
    level = max(FAINTEST, NOISE * float(np.searchsorted(counts, taken.size / 2)))
    mask = ((taken >= level) & (taken >= _soft(taken))).astype(np.uint8) | _rims(closed)
    return _Contrast(taken, level, mask)


def _soft(taken: Mask) -> Mask:
    """Return what the soft edge of the strongest ink beside each pixel takes at most, uint8 [h, w]."""
    beside = cv2.dilate(taken, np.ones((HALO_SIDE, HALO_SIDE), np.uint8))
    return np.asarray(cv2.convertScaleAbs(beside, alpha=HALO), dtype=np.uint8)


def _goes_on(lattice: Grid, lines: _Lines) -> bool:
    """Return whether the lines of a table reach far beyond it: it may be only the part whose lines are strong."""
    (left, top), (right, bottom) = lattice.vertices.min(axis=(0, 1)), lattice.vertices.max(axis=(0, 1))
    return any(
        sum(
            start < line.middle < stop
            and line.first < end
            and line.last > begin
            and (line.first < begin - FURTHER * cell or line.last > end + FURTHER * cell)
            for line in across
        )
        > 1
        for across, (start, stop), (begin, end), cell in (
            (lines.upright, (left, right), (top, bottom), lattice.cell_height),
            (lines.level, (top, bottom), (left, right), lattice.cell_width),
        )
    )


def _with_faint_lines(lattices: list[Grid], lines: _Lines) -> list[Grid]:
    """Return tables, with those of fainter lines in the place of what has fewer cells there."""
    # Ruled paper has many level lines, which take long to be found, and no upright ones.
    if len(lines.upright) < 2 or len(lines.level) < 2:  # noqa: PLR2004 - as a table has
        return lattices
    for larger in find_lattices(lines.mask, lines.level, lines.upright):
        parts = [
            one for one in lattices
            if any(larger.locate(*at) is not None for at in one.inner_points)
            or any(one.locate(*at) is not None for at in larger.inner_points)
        ]  # fmt: skip
        if len(larger.cells) > MORE_CELLS * sum(len(part.cells) for part in parts):
            lattices = [one for one in lattices if one not in parts] + [larger]
    return lattices


def _rims(closed: Grey) -> Mask:
    """Return the outlines of the dark fields of a page, uint8 [h, w], whose thin ink was taken away.

    A black square of a crossword puzzle ends where lines between two bright ones would be.
    """
    height, width = closed.shape
    # The brightest is taken of areas: a speck of light is no paper.
    small = cv2.resize(closed, (max(1, width // COARSE), max(1, height // COARSE)), interpolation=cv2.INTER_AREA)
    limit = cv2.convertScaleAbs(cv2.dilate(small, np.ones((AROUND, AROUND), np.uint8)), alpha=FIELD_LIGHT)
    dark = (small < limit).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(dark, 4, cv2.CV_32S, cv2.CCL_GRANA)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    # The first is the paper.
    is_field = (sides < LARGEST_FIELD * max(small.shape)) & (np.arange(len(sides)) > 0)
    if not is_field.any():
        return np.zeros_like(closed)
    limit[~cv2.dilate(is_field.astype(np.uint8)[labels], np.ones((3, 3), np.uint8)).astype(bool)] = 0
    fields = cv2.compare(closed, cv2.resize(limit, (width, height), interpolation=cv2.INTER_NEAREST), cv2.CMP_LT)
    rims = cv2.subtract(fields, cv2.erode(fields, np.ones((RIM, RIM), np.uint8)))
    return (np.asarray(rims, dtype=np.uint8) > 0).astype(np.uint8)


OVERRUN: Final = 0.1
"""Share of its length by which a line may end before the one that it meets."""
MAX_OVERRUN: Final = 14
"""Pixels by which it may, at most."""
SUPPORTED: Final = 0.6
"""Share of a side of a cell, and of its first and last eighth, that ink covers at least."""
SIDES: Final = 3
"""Sides that a cell has at least: what merges with a neighbour lacks one."""
STRAY: Final = 0.3
"""Share of a table that a line covers at least: strokes of digits in a row cover less."""
HARDLY: Final = 0.5
"""Share of their cells that the outer rows and columns of a table have at least."""
NEAREST_LINES: Final = 10
"""Pixels between lines, at least: no digit fits between nearer ones."""


def find_lattices(mask: Mask, level: Sequence[Line], upright: Sequence[Line]) -> list[Grid]:
    """Return the tables that crossing lines make; `mask`, uint8 [h, w], is 1 for ink."""
    grids: list[Grid] = []
    turned = transposed(mask)
    for rows, columns in _components(_crossings(level, upright)):
        downs, acrosses = [level[index] for index in rows], [upright[index] for index in columns]
        downs, acrosses = _consistent(mask, downs, acrosses), _consistent(turned, acrosses, downs)
        if len(downs) > 1 and len(acrosses) > 1:
            grids += _lattice_tables(mask, downs, acrosses)
    return grids


def _crossings(level: Sequence[Line], upright: Sequence[Line]) -> Bools:
    """Return bool [level, upright]: which lines cross, or meet."""
    if not level or not upright:
        return np.zeros((len(level), len(upright)), dtype=bool)
    (a, b, first, last), (c, d, start, stop) = _straight_lines(level)[:, :, None], _straight_lines(upright)[:, None]
    x = (c + d * a) / (1 - d * b)
    y = a + b * x
    aside, beyond = (np.minimum(MAX_OVERRUN, 2 + OVERRUN * length) for length in (last - first, stop - start))
    return np.asarray((x >= first - aside) & (x <= last + aside) & (y >= start - beyond) & (y <= stop + beyond))


def _straight_lines(lines: Sequence[Line]) -> Floats:
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
    if not links.any():
        return
    together = links @ links.T
    while not np.array_equal(further := together @ together, together):
        together = further
    # Each once, and in order.
    for rows in np.unique(together[together.any(axis=1)], axis=0)[::-1]:
        yield np.flatnonzero(rows).tolist(), np.flatnonzero(links[rows].any(axis=0)).tolist()


def _consistent(mask: Mask, lines: Sequence[Line], across: Sequence[Line]) -> list[Line]:
    """Return the lines in order, without those that cross or nearly cover a stronger one, or are weak beside it.

    A line is as strong as it has ink between the lines that it crosses, `across`.
    """
    halfway = np.median([line.middle for line in lines])
    at = np.sort([float(line.curve(halfway)) for line in across])
    strengths = []
    for line in lines:
        # From the first to the last of the lines that it crosses.
        first, last = max(line.first, at[0] - MAX_OVERRUN, 0), min(line.last, at[-1] + MAX_OVERRUN, mask.shape[1] - 1)
        columns = np.arange(round(first), round(last) + 1, dtype=np.float64)
        strengths.append(float(_has_ink(mask, columns, line.curve).sum()))
    kept: list[Line] = []
    strongest = max(strengths)
    for index in np.argsort(strengths)[::-1]:
        line = lines[index]
        if strengths[index] < STRAY * strongest:
            break
        for number, other in enumerate(kept):
            first, last = min(line.first, other.first), max(line.last, other.last)
            beside = np.linspace(line.first, line.last, 9)
            if np.abs(line.curve(beside) - other.curve(beside)).max() < NEAREST_LINES:
                # A part of the stronger one.
                kept[number] = Line(other.curve, first, last, other.thickness)
                break
            throughout = np.linspace(first, last, 9)
            apart = line.curve(throughout) - other.curve(throughout)
            if apart.min() < 0 < apart.max() or np.abs(apart).min() < NEAREST_LINES:
                break
        else:
            kept.append(line)
    middle = float(np.median(at))
    return sorted(kept, key=lambda line: float(line.curve(middle)))


def _lattice_tables(mask: Mask, downs: Sequence[Line], acrosses: Sequence[Line]) -> Iterator[Grid]:
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
        if len(table[0]) > 2 and (grid := _made(mask, *table)) is not None:  # noqa: PLR2004 - one row has two
            yield grid


def _is_line(sides: Bools) -> Bools:
    """Return which sides, bool [..., POINTS], reach from end to end; the stroke of a digit does not."""
    end = sides.shape[-1] // 8
    ends = np.minimum(sides[..., :end].mean(axis=-1), sides[..., -end:].mean(axis=-1))
    return np.asarray(np.minimum(sides.mean(axis=-1), ends) >= SUPPORTED)


def _reached(at: Floats, lines: Sequence[Line]) -> Bools:
    """Return which sides, between points at `at`, float64 [lines, points], lie where their line was seen."""
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


def _made(mask: Mask, level: Sequence[Curve], upright: Sequence[Curve]) -> Grid | None:
    """Return the table of a lattice's lines, fitted to its ink, or None if no digit fits into its cells."""
    vertices = vertices_of(level, upright)
    (left, top), (right, bottom) = vertices.min(axis=(0, 1)), vertices.max(axis=(0, 1))
    turned = transposed(mask)
    level = [(snapped(mask, curve, left, right), curve[1]) for curve in level]
    upright = [(snapped(turned, curve, top, bottom), curve[1]) for curve in upright]
    grid = make_grid(mask, level, upright)
    return grid if grid is not None and min(grid.cell_height, grid.cell_width) >= NEAREST_LINES else None


BAND_ROWS: Final = 32
"""Rows in which a band is looked at."""
LOWEST: Final = 14
"""Height of a band in pixels, at least: no digit fits into a lower one."""
HIGHEST: Final = 0.5
"""Height of a band, as a share of the page's longer side, at most."""
LEAN: Final = 0.2
"""Lean of an upright line, as a share of its height, at most, besides being square to its band."""
SHARED: Final = 0.5
"""Share of the shorter of two lines, or bands, for which they lie above one another at least."""
BEYOND: Final = (0.15, 0.5)
"""Where a line is looked at beyond a corner, from and to, in heights of the band."""
CORNER_INK: Final = 0.6
"""Share of that which is ink, at most, where a line ends at a corner."""
CORNERS: Final = 3
"""Corners of four at which lines end, at least."""
SLIT: Final = 2
"""Columns that an upright line may lack where it leans."""
ALIKE: Final = 0.25
"""Share of the height by which a column of a line is covered less than its best one, where a digit leans on it."""
SHIFTS: Final = 25
"""Leans that are tried."""
FAT: Final = 0.3
"""Width, as a share of the height of a band, above which an upright line is a dark field."""
MIN_FAT: Final = 8
"""The same in pixels, in a low band."""
SAME_COLUMN: Final = 0.3
"""Share of a usual cell's width within which upright lines of two bands are one."""
LOWER: Final = 0.75
"""Share of a band's height below which another one from the same line may be the first of two rows in it."""
ALMOST: Final = 0.6
"""Share of its cells that such a row has at least."""
OVERLAP: Final = 0.25
"""Share of the lower one's height above which two bands exclude one another."""
SHEET_EDGE: Final = 0.01
"""Share of the picture's longer side within which a line at its edge may be the edge of the sheet."""
MAX_PAIRS: Final = 100
"""Pairs of lines that are looked at, the longest first: the work is bounded."""


@dataclass(frozen=True)
class _Upright:
    top: float
    """Column at which it meets the upper line of the band."""
    bottom: float
    thickness: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True)
class _Band:
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
        return self.uprights[0].middle

    @property
    def right(self) -> float:
        return self.uprights[-1].middle

    @property
    def top(self) -> float:
        return float(self.above.curve((self.left + self.right) / 2))

    @property
    def height(self) -> float:
        return float(self.below.curve((self.left + self.right) / 2)) - self.top

    def shares(self, other: "_Band") -> bool:
        """Return whether two bands lie above one another."""
        shared = min(self.right, other.right) - max(self.left, other.left)
        return shared >= SHARED * min(self.right - self.left, other.right - other.left)

    def overlaps(self, other: "_Band") -> bool:
        """Return whether two bands lie in each other's place."""
        both = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return both > OVERLAP * min(self.height, other.height) and min(self.right, other.right) > max(
            self.left, other.left
        )


def _is_sheet(grid: Grid, shape: tuple[int, ...]) -> bool:
    """Return whether a table is ruled paper, whose only other lines are the edges of the picture."""
    height, width = shape
    (left, top), (right, bottom) = grid.vertices.min(axis=(0, 1)), grid.vertices.max(axis=(0, 1))
    edge = SHEET_EDGE * max(shape)
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
    """Return whether uprights are cells and not strokes between two rulings: lines of cells end where the cells do."""
    ends = 0
    for line, columns in zip(lines, ("top", "bottom"), strict=True):
        for upright, sign in ((uprights[0], -1), (uprights[-1], 1)):
            at = getattr(upright, columns) + sign * (upright.thickness + np.linspace(BEYOND[0], BEYOND[1], 16) * height)
            ends += _coverage(mask, at, line.curve, line.thickness) < CORNER_INK
    return ends >= CORNERS


def _uprights(mask: Mask, columns: Floats, edges: tuple[Floats, Floats], height: float, lean: float) -> list[_Upright]:
    top, bottom = edges
    share = ((np.arange(BAND_ROWS) + 0.5) / BAND_ROWS)[:, None]
    rows = top + (bottom - top) * share
    strip = cv2.remap(
        mask, np.broadcast_to(columns.astype(np.float32), rows.shape).copy(), rows.astype(np.float32), cv2.INTER_NEAREST
    )
    strip = cv2.dilate(strip, np.ones((1, 3), np.uint8))
    width = strip.shape[1]
    shifts = np.unique(np.rint(np.linspace(lean - LEAN, lean + LEAN, SHIFTS) * height).astype(int))
    best = np.zeros(width)
    shift_of = np.zeros(width, dtype=int)
    end = BAND_ROWS // 8
    pad = int(np.abs(shifts).max()) // 2 + 1
    padded = np.pad(strip, ((0, 0), (pad, pad)))
    for shift in shifts[np.argsort(np.abs(shifts - lean * height), kind="stable")]:
        moves = np.rint((share[:, 0] - 0.5) * shift).astype(int) + pad
        counts = [
            sum((padded[row, moves[row] : moves[row] + width] for row in rows), start=np.zeros(width, np.uint8))
            for rows in (range(end), range(end, BAND_ROWS - end), range(BAND_ROWS - end, BAND_ROWS))
        ]
        total = counts[0] + counts[1] + counts[2]
        reaches = (total >= SUPPORTED * BAND_ROWS) & (np.minimum(counts[0], counts[2]) >= SUPPORTED * end)
        cover = np.where(reaches, total / BAND_ROWS, 0)
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
    return float(_has_ink(mask, along, curve, 1 + round(thickness / 2)).sum() / max(1, len(along)))


def _has_ink(mask: Mask, along: Floats, curve: np.polynomial.Polynomial, reach: int = 1) -> Bools:
    """Return at which points of a line, at those columns `along` that are in the picture, there is ink: bool [N]."""
    rows = np.rint(curve(along)).astype(int)[None] + np.arange(-reach, reach + 1)[:, None]
    columns = np.rint(along).astype(int)
    valid = (columns >= 0) & (columns < mask.shape[1])
    return np.asarray((mask[rows.clip(0, mask.shape[0] - 1)[:, valid], columns[valid]] > 0).any(axis=0))


def _chains(bands: Sequence[_Band]) -> list[list[_Band]]:
    """Return bands as tables: those that share a line, and lie above one another, from top to bottom.

    Of two between the same lines, apart by a gap, the wider is the table.
    """
    chains: list[list[_Band]] = []
    for band in sorted(bands, key=lambda band: (band.upper, band.left - band.right)):
        above = next((chain for chain in chains if chain[-1].lower == band.upper and chain[-1].shares(band)), None)
        if above is None:
            chains.append([band])
        else:
            above.append(band)
    return chains


def _table_of(mask: Mask, lines: Sequence[Line], chain: Sequence[_Band]) -> Grid | None:
    level = [lines[chain[0].upper], *(lines[band.lower] for band in chain)]
    uprights = _band_columns(level, chain)
    if uprights is None:
        return None
    left, right = float(np.mean([band.left for band in chain])), float(np.mean([band.right for band in chain]))
    curves = [(snapped(mask, (line.curve, line.thickness), left, right), line.thickness) for line in level]
    return make_grid(mask, curves, uprights)


def _band_columns(level: Sequence[Line], chain: Sequence[_Band]) -> list[Curve] | None:
    """Return the upright lines through all bands, from left to right, as curves with their thickness."""
    # Columns are compared as shares of the width of the table, which leans and narrows in a photograph.
    at = np.array([np.mean([level[i].middle, level[i + 1].middle]) for i in range(len(chain))])
    degree = 1 if len(chain) > 1 else 0
    left = np.polynomial.Polynomial.fit(at, [band.left for band in chain], degree)
    right = np.polynomial.Polynomial.fit(at, [band.right for band in chain], degree)
    found = sorted(
        (upright.middle - left(at[row])) / max(1.0, right(at[row]) - left(at[row]))
        for row, band in enumerate(chain)
        for upright in band.uprights
    )
    widths = [np.diff([one.middle for one in band.uprights]) / max(1.0, band.right - band.left) for band in chain]
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
            nearest = min(band.uprights, key=lambda upright: abs(upright.middle - expected))
            if abs(nearest.middle - expected) <= tolerance * (right(at[row]) - left(at[row])):
                points += [
                    (float(level[row].curve(nearest.top)), nearest.top),
                    (float(level[row + 1].curve(nearest.bottom)), nearest.bottom),
                ]
                thickness.append(nearest.thickness)
        if not points:
            return None
        y, x = np.array(points).T
        curve = np.polynomial.Polynomial.fit(y, x, 2 if len(thickness) > 4 else 1)  # noqa: PLR2004 - bands
        curves.append((curve, float(np.median(thickness))))
    return curves


def _tables_apart(grids: Sequence[Grid]) -> list[Grid]:
    """Return the tables without those in a larger one's place; in a single cell of it, a table is one of its own."""
    kept: list[Grid] = []
    for grid in sorted(grids, key=lambda grid: -len(grid.cells)):
        within = [{other.locate(*point) for point in grid.inner_points} for other in kept]
        if all(None in cells or (len(cells) == 1 and len(grid.cells) >= FEW) for cells in within):
            kept.append(grid)
    return sorted(kept, key=lambda grid: (grid.corners[0, 1], grid.corners[0, 0]))
