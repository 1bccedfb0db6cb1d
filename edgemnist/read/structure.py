"""What is printed on a page to be written into: its frames, combs, grids and tables, and staves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.grey import Grey
from edgemnist.read.grid import Grid
from edgemnist.read.grids import find_grids
from edgemnist.read.lattice import are_pattern, find_lattices
from edgemnist.read.lines import Line, Mask, find_lines, thickest_line, transposed
from edgemnist.read.piece import Staff
from edgemnist.read.staff import find_staves

FAINTEST: Final = 16
"""Of 255: what takes less of the light than this is no line, however even the paper is."""
NOISE: Final = 2.5
"""A line takes this many times as much of the light as the usual pixel of the paper beside it."""
FAINT: Final = 0.5
ALONG: Final = 0.75
REACH: Final = 15
"""A faint line takes at least the first share of that, and the second one in the mean of so many pixels along it, over
which noise averages out."""
FURTHER: Final = 0.5
"""Lines that end farther than so many cells beyond a table may be those of a larger one."""
LARGER: Final = 1.1
"""A table of fainter lines has this many times as many cells as what is found without these, at least."""
HALO: Final = 0.35
"""What is weaker than this share of the strongest ink beside it is the soft edge of that."""
BESIDE: Final = 9
"""Side, in pixels, of the square in which that is looked for."""
DARKEST: Final = 64
"""In deeper shade the quotient would show the sensor's noise."""
FIELD: Final = 0.5
"""A dark field has less than this share of the light of the brightest paper that is near it."""
COARSE: Final = 8
AROUND: Final = 25
"""That is looked for within half of so many squares, each of so many pixels a side."""
LARGEST_FIELD: Final = 0.6
"""Share of the page's longer side; what is larger is the table around a sheet, or a shadow."""
RIM: Final = 5
"""Pixels, of which half are outside: the outline of a field is drawn two pixels wide."""


def find_structure(grey: Grey, *, dark: bool) -> tuple[list[Grid], list[Staff]]:
    """Return the tables, from top to bottom, and the staves of a page, uint8 [h, w].

    `dark` tells whether ink is darker than paper.
    """
    contrast = _contrast(grey, dark=dark)
    lines = _Lines(contrast.mask)
    return _find_tables(lines, contrast), find_staves(lines.level)


def _find_tables(lines: _Lines, contrast: _Contrast) -> list[Grid]:
    if len(lines.level) < 2 or are_pattern(lines.level, lines.upright):  # noqa: PLR2004 - a frame has two
        return []
    lattices = find_lattices(lines.mask, lines.level, lines.upright)
    if not lattices or any(_goes_on(lattice, lines) for lattice in lattices):
        lattices = _with_faint_lines(lattices, _Lines(contrast.mask | contrast.faint))
    return find_grids(lines.mask, lines.level, lines.upright, lattices)


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
        for along, across in (((REACH, 1), (1, BESIDE)), ((1, REACH), (BESIDE, 1))):
            beside = cv2.dilate(self.mask, np.ones(across[::-1], np.uint8))
            faint |= weak & (beside == 0) & (cv2.blur(self.taken, along) >= ALONG * self.level)
        return faint.astype(np.uint8)


def _contrast(grey: Grey, *, dark: bool) -> _Contrast:
    light = grey if dark else 255 - grey
    side = 2 * thickest_line(grey.shape) + 1
    closed = np.asarray(cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), dtype=np.uint8)
    # The share of the light that is taken, as in `images.paper`, against the paper right beside.
    taken = np.asarray(cv2.divide(closed - light, np.maximum(closed, DARKEST), scale=255), dtype=np.uint8)
    level = max(FAINTEST, NOISE * _median(taken))
    mask = ((taken >= level) & (taken >= _soft(taken))).astype(np.uint8) | _rims(closed)
    return _Contrast(taken, level, mask)


def _soft(taken: Mask) -> Mask:
    """Return what the soft edge of the strongest ink beside each pixel takes at most, uint8 [h, w]."""
    beside = cv2.dilate(taken, np.ones((BESIDE, BESIDE), np.uint8))
    return np.asarray(cv2.convertScaleAbs(beside, alpha=HALO), dtype=np.uint8)


def _goes_on(lattice: Grid, lines: _Lines) -> bool:
    """Tell whether the lines of a table reach far beyond it: it may be only the part whose lines are strong."""
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
        parts = [one for one in lattices if _overlap(larger, one)]
        if len(larger.cells) > LARGER * sum(len(part.cells) for part in parts):
            lattices = [one for one in lattices if one not in parts] + [larger]
    return lattices


def _overlap(one: Grid, other: Grid) -> bool:
    return any(
        here.locate(*point) is not None for here, there in ((one, other), (other, one)) for point in there.inner_points
    )


def _rims(closed: Grey) -> Mask:
    """Return the outlines of the dark fields of a page, uint8 [h, w], whose thin ink was taken away.

    A black square of a crossword puzzle ends where lines between two bright ones would be.
    """
    height, width = closed.shape
    # The brightest is taken of areas: a speck of light is no paper.
    small = cv2.resize(closed, (max(1, width // COARSE), max(1, height // COARSE)), interpolation=cv2.INTER_AREA)
    limit = cv2.convertScaleAbs(cv2.dilate(small, np.ones((AROUND, AROUND), np.uint8)), alpha=FIELD)
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


def _median(values: npt.NDArray[np.uint8]) -> float:
    counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel()
    return float(np.searchsorted(counts.cumsum(), values.size / 2))
