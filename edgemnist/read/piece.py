"""Pieces of ink, cuts through those where digits touch, and what else the steps of a reading hand on to one another.

OpenCV finds the pieces, and only that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.images.find import bounds
from edgemnist.images.paper import Ink
from edgemnist.read.grid import Floats, Grid
from edgemnist.results.pictures import Box


@dataclass(frozen=True)
class Piece:
    """Some ink, cut out of the page."""

    box: Box
    ink: Ink
    """uint8, of the box's size; 0 where the ink belongs to something else."""
    table: int | None = None
    """Number of the table that it is in."""
    cell: int | None = None
    """Index of its cell."""

    @property
    def place(self) -> tuple[int, int]:
        """Table and cell, or -1 twice outside: what is in two places is not one digit."""
        return (-1, -1) if self.table is None or self.cell is None else (self.table, self.cell)


RING: Final = 0.3
"""What encloses a piece of at least this share of its height is a ring or a frame around it."""


def without_rings(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces without those that enclose another: a circled digit is not a zero."""
    if not pieces:
        return []
    x, y, w, h = np.array([piece.box for piece in pieces]).T
    encloses = (
        (x[:, None] < x) & (y[:, None] < y) & ((x + w)[:, None] > x + w) & ((y + h)[:, None] > y + h)
        & (h >= RING * h[:, None])
    )  # fmt: skip
    return [piece for piece, ring in zip(pieces, encloses.any(axis=1), strict=True) if not ring]


@dataclass(frozen=True)
class Pieces:
    """All pieces of a page, or of one of its tables."""

    candidates: list[Piece]
    """What has the size of a digit, or of several that touch."""
    fragments: list[Piece]
    """What is smaller: specks, and parts of digits that are broken."""
    height: float
    """Of a typical digit, in pixels."""
    left_out: Sequence[Box] = ()
    """Boxes of those with the least ink, where there were too many."""

    @property
    def unread(self) -> list[Box]:
        """Boxes of what is no candidate."""
        return [*(piece.box for piece in self.fragments), *self.left_out]


@dataclass(frozen=True)
class Staff:
    """A staff of music with its notes, as far above and below it as their stems reach."""

    left: float
    right: float
    top: tuple[float, float]
    """Its row at the left and at the right."""
    bottom: tuple[float, float]

    def holds(self, x: float, y: float) -> bool:
        """Tell whether a point is in it."""
        top, bottom = (np.interp(x, (self.left, self.right), rows) for rows in (self.top, self.bottom))
        return bool(self.left <= x <= self.right and top <= y <= bottom)


@dataclass(frozen=True)
class Sheet:
    """All that there is to read on a page."""

    parts: list[Pieces]
    """What is outside of all tables, and then what is in each of them."""
    grids: list[Grid]
    """The tables, from top to bottom."""
    staves: Sequence[Staff] = ()

    @property
    def complete(self) -> bool:
        """False where there was more than was looked at."""
        return not any(part.left_out for part in self.parts)


SEAM_HEIGHT: Final = 32
"""Seams are sought at this height: finer ones do not cut better."""
SLANT_COST: Final = 0.2
"""Cost of a step aside, against 1 for a pixel of full ink: a seam may lean, but does not wander."""
NARROWEST: Final = 0.12
"""Least width of a part, as a share of the height."""
APART: Final = 0.09
"""Two seams are at least this far apart on average, as a share of the height: nearer ones cut off a sliver."""
CUTS_PER_WIDTH: Final = 4.0
"""At most so many seams for each height's worth of width, and `MAX_CUTS` in all."""
MAX_CUTS: Final = 8


def cut_columns(piece: Piece) -> list[npt.NDArray[np.int64]]:
    """Return seams through a piece, from left to right: for each row, the first column right of the cut.

    A seam runs from top to bottom where it crosses the least ink (dynamic programming, as in seam carving). The best
    one through each point at half the height is sought, since the best of all run together in the widest gap.
    """
    height, width = piece.ink.shape
    scale = SEAM_HEIGHT / height
    small_width = max(1, round(width * scale))
    small = np.asarray(Image.fromarray(piece.ink).resize((small_width, SEAM_HEIGHT), Image.Resampling.BOX))
    ink = small / max(1.0, float(small.max()))
    middle = SEAM_HEIGHT // 2
    from_top, steps_up = _least_costs(ink[: middle + 1])
    from_bottom, steps_down = _least_costs(ink[: middle - 1 : -1])
    costs = from_top + from_bottom
    margin = max(1, round(NARROWEST * SEAM_HEIGHT))
    limit = min(MAX_CUTS, max(1, round(CUTS_PER_WIDTH * small_width / SEAM_HEIGHT)))
    seams: list[Floats] = []
    for through in sorted(range(margin, small_width - margin), key=lambda x: costs[x]):
        seam = np.concatenate([_trace(steps_up, through), _trace(steps_down, through)[-2::-1]])
        if (
            all(np.abs(seam - other).mean() >= APART * SEAM_HEIGHT for other in seams)
            and margin <= seam.mean() < small_width - margin
        ):
            seams.append(seam)
        if len(seams) == limit:
            break
    rows = np.minimum((np.arange(height) * scale).astype(np.int64), SEAM_HEIGHT - 1)
    seams.sort(key=lambda seam: float(seam.mean()))
    return [np.rint(seam[rows] / scale).astype(np.int64) for seam in seams]


def between(piece: Piece, left: npt.NDArray[np.int64] | None, right: npt.NDArray[np.int64] | None) -> Piece | None:
    """Return the part of a piece between two seams (None: to its end), or None if there is no ink."""
    columns = np.arange(piece.ink.shape[1])
    ink = piece.ink
    if left is not None:
        ink = np.where(columns >= left[:, None], ink, 0)
    if right is not None:
        ink = np.where(columns < right[:, None], ink, 0)
    return trimmed(piece, ink, int(ink.max()) // 3)


def trimmed(piece: Piece, ink: Ink, level: int) -> Piece | None:
    """Return a piece of which only `ink`, of its size, is left, cut to where that is above `level`."""
    found = bounds(ink > level)
    if found is None:
        return None
    top, left, bottom, right = found
    x, y, _, _ = piece.box
    box = x + left, y + top, right - left, bottom - top
    return replace(piece, box=box, ink=ink[top:bottom, left:right])


def _least_costs(ink: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return, for each column of the last row, the cost of the best seam there; and the steps that lead to it."""
    steps = np.zeros(ink.shape, dtype=np.int64)
    padded = np.full(ink.shape[1] + 2, np.inf)
    costs = padded[1:-1]
    costs[:] = ink[0]
    for row in range(1, len(ink)):
        aside = np.minimum(padded[:-2], padded[2:]) + SLANT_COST
        steps[row] = np.where(costs <= aside, 0, np.where(padded[:-2] <= padded[2:], -1, 1))
        costs[:] = np.minimum(costs, aside) + ink[row]
    return costs.copy(), steps


def _trace(steps: npt.NDArray[np.int64], end: int) -> Floats:
    seam = np.empty(len(steps))
    column = end
    for row in range(len(steps) - 1, -1, -1):
        seam[row] = column
        column += steps[row, column]
    return seam
