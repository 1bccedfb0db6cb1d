"""Pages that lie on their side or upside down: recognized by which way their digits read best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from edgemnist.images.mnist import fit_digit
from edgemnist.read.context import SLENDER
from edgemnist.read.judge import judge
from edgemnist.read.piece import Piece
from edgemnist.read.recognize import Reading
from edgemnist.results.pictures import Box, ReadResult
from edgemnist.runtimes.interface import Classifier

UPRIGHT: Final = 0.75
"""A page whose readings have this confidence in the mean is not turned: upside down, only 0, 1 and 8 read so well."""
FEWEST: Final = 4
"""Of fewer pieces nobody knows how they lie: a 6 may be a 9."""
MOST: Final = 48
"""So many pieces are tried: that tells it."""
GAIN: Final = 0.2
"""Turned, they read this much more surely in the mean."""
READABLE: Final = 0.6
"""And as surely as this: letters read badly whichever way they are turned."""


def best_turn(readings: Sequence[Reading], pieces: Sequence[Piece], classifier: Classifier) -> int:
    """Return how many quarters, against the clock, a page is to be turned so that its pieces read best; mostly 0.

    `readings` are those of the page as it is.
    """
    if float(np.mean([reading.confidence for reading in readings] or [1.0])) >= UPRIGHT:
        return 0
    # A bare stroke is a one or a scrap of a line, whichever way it lies; and around a table there are letters.
    pieces = [piece for piece in pieces if min(piece.box[2:]) > SLENDER * max(piece.box[2:])]
    inside = [piece for piece in pieces if piece.table is not None]
    pieces = inside if len(inside) >= FEWEST else pieces
    if len(pieces) < FEWEST:
        return 0
    # From all over the page: of its largest pieces, many may be the same letter.
    chosen = np.linspace(0, len(pieces) - 1, min(MOST, len(pieces))).astype(int)
    images = np.stack([fit_digit(pieces[index].ink) for index in chosen])
    surely = [float(judge(classifier, np.rot90(images, quarters, (1, 2))).confidences.mean()) for quarters in range(4)]
    best = int(np.argmax(surely))
    return best if surely[best] >= max(READABLE, surely[0] + GAIN) else 0


def turned_back(result: ReadResult, quarters: int, width: int, height: int) -> ReadResult:
    """Return what was read on a page of `width`×`height` pixels, turned by quarters against the clock, as it lay."""

    def back(box: Box) -> Box:
        return box_before(box, quarters, width, height)

    replace = msgspec.structs.replace
    return replace(
        result,
        turned=(4 - quarters) % 4 * 90,
        digits=[replace(digit, box=back(digit.box)) for digit in result.digits],
        numbers=[replace(number, box=back(number.box)) for number in result.numbers],
        tables=[
            replace(
                table,
                corners=[back((x, y, 0, 0))[:2] for x, y in table.corners],
                cells=[replace(cell, box=back(cell.box)) for cell in table.cells],
            )
            for table in result.tables
        ],
    )


def box_before(box: Box, quarters: int, width: int, height: int) -> Box:
    """Return where a box was before its page, now `width`×`height` pixels, was turned by quarters against the clock."""
    x, y, w, h = box
    for _ in range(quarters % 4):
        # What was on the right is on top.
        x, y, w, h = height - y - h, x, h, w
        width, height = height, width
    return x, y, w, h
