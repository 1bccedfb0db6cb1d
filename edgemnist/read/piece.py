"""What the steps of a reading hand on to one another. OpenCV finds the pieces, and only that needs it."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.images.paper import Ink
from edgemnist.results.pictures import Box


@dataclass(frozen=True)
class Piece:
    """Some ink, cut out of the page."""

    box: Box
    ink: Ink
    """uint8, of the box's size; 0 where the ink belongs to something else."""


@dataclass(frozen=True)
class Pieces:
    """All pieces of a page."""

    candidates: list[Piece]
    """What has the size of a digit, or of several that touch."""
    fragments: list[Piece]
    """What is smaller: specks, and parts of digits that are broken."""
    height: float
    """Of a typical digit, in pixels."""
    complete: bool = True
    """False where there were so many that those with the least ink were left out."""
