"""Pieces of ink, and what else the steps of a reading hand on to one another.

OpenCV finds the pieces, and only that needs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edgemnist.digits.images.find import bounds
from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.grid import Grid
from edgemnist.digits.task import Box


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
    hangs: bool = False
    """Whether it ends at a line of its cell, as dividers do that are no line of the table."""
    opened: bool = False
    """Whether strips have shown it, in a window or held by a line: it is no piece of ink of its own."""

    @property
    def place(self) -> tuple[int, int]:
        """Table and cell, or -1 twice outside: what is in two places is not one digit."""
        return (-1, -1) if self.table is None or self.cell is None else (self.table, self.cell)


MIN_HEIGHT: Final = 12
"""Height, in pixels, below which a digit cannot be read."""
SPECK: Final = 0.4
"""Height, as a share of a typical digit's, below which a piece is a speck, a dot or part of a digit."""
LARGEST: Final = 2.5
"""Height, in digits, above which a piece is no digit but a frame, a stain or the edge of a page."""
WIDEST: Final = 8.0
"""Width, in heights of a digit, above which a piece is no row of digits that touch."""
SOFT_EDGES: Final = 2
"""Pixels by which a box is higher and wider than what is surely ink."""
RING: Final = 0.3
"""Share of its height from which on a piece within another makes that a ring or a frame around it."""


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
    large: Sequence[Piece] = ()
    """What is larger: frames, stains, and digits where most of the ink is print."""
    left_out: Sequence[Box] = ()
    """Boxes of those with the least ink, where there were too many."""
    windows: Sequence[Box] = ()
    """Boxes of dark fields that may be displays, or wheels of a counter."""
    held: Ink | None = None
    """uint8 [h, w]: 1 at strokes of pieces that are no candidates, too large or cut by the edge, but for long lines."""

    def by_height(self, height: float) -> "Pieces":
        """Return the same pieces where this is the height of a typical digit, in pixels."""
        candidates: list[Piece] = []
        fragments: list[Piece] = []
        large: list[Piece] = []
        for piece in (*self.candidates, *self.fragments, *self.large):
            wide, high = piece.box[2] - SOFT_EDGES, piece.box[3] - SOFT_EDGES
            if high > LARGEST * height or wide > WIDEST * height:
                large.append(piece)
            else:
                (candidates if high >= max(MIN_HEIGHT, SPECK * height) else fragments).append(piece)
        return replace(
            self, candidates=without_rings(candidates), fragments=fragments, large=without_rings(large), height=height
        )

    def of_table(self, number: int) -> "Pieces":
        """Return the same pieces as those of table `number` of a page."""
        candidates, fragments = (
            [replace(piece, table=number) for piece in some] for some in (self.candidates, self.fragments)
        )
        return replace(self, candidates=candidates, fragments=fragments)

    @property
    def unread(self) -> list[Box]:
        """Boxes of what is no candidate."""
        return [*(piece.box for piece in self.fragments), *self.left_out]


@dataclass(frozen=True)
class Sheet:
    """All that there is to read on a page."""

    parts: list[Pieces]
    """What is outside of all tables, and then what is in each of them."""
    grids: list[Grid]
    """The tables, from top to bottom."""
    ink: Ink | None = None
    """uint8 [h, w]: that of the page. None where nobody is to look for signs."""

    @property
    def complete(self) -> bool:
        """False where there was more than was looked at."""
        return not any(part.left_out for part in self.parts)


def trimmed(piece: Piece, ink: Ink, level: int) -> Piece | None:
    """Return a piece of which only `ink`, of its size, is left, cut to where that is above `level`."""
    found = bounds(ink > level)
    if found is None:
        return None
    top, left, bottom, right = found
    x, y, _, _ = piece.box
    box = x + left, y + top, right - left, bottom - top
    return replace(piece, box=box, ink=ink[top:bottom, left:right])
