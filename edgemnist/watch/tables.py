"""Tables that several frames agree on."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

import msgspec

from edgemnist.read.assemble import REFUSED
from edgemnist.read.layout import around, overlap
from edgemnist.results.pictures import Box, ReadCell, ReadTable

SAME_PLACE: Final = 0.5
"""A table is the one of another frame if it has as many rows and columns, and they share this much of their union."""


class TableSteadier:
    """Takes the tables of frames in turn, and tells what is certain by now."""

    def __init__(self, agreeing: int) -> None:
        self._agreeing = agreeing
        self._frames: deque[Sequence[ReadTable]] = deque(maxlen=2 * agreeing - 1)

    def add(self, tables: Sequence[ReadTable]) -> list[ReadTable]:
        """Add what one frame shows, and return those of its tables that enough of the latest frames have."""
        self._frames.append(tables)
        steady: list[ReadTable] = []
        for table in tables:
            sightings = [same for frame in self._frames if (same := _same(table, frame)) is not None]
            if len(sightings) >= self._agreeing:
                cells = [self._agreed(cell, sightings) for cell in table.cells]
                steady.append(msgspec.structs.replace(table, cells=cells))
        return steady

    def _agreed(self, cell: ReadCell, sightings: Sequence[ReadTable]) -> ReadCell:
        """Return a cell with the text that enough frames have in its place, and the mean of their confidences."""
        others = [
            other
            for table in sightings
            for other in table.cells
            if (other.row, other.column, other.rows, other.columns) == (cell.row, cell.column, cell.rows, cell.columns)
        ]
        text, count = Counter(other.text for other in others).most_common(1)[0]
        if count < self._agreeing:
            return msgspec.structs.replace(cell, text=REFUSED, confidence=None)
        sure = [other.confidence for other in others if other.text == text and other.confidence is not None]
        return msgspec.structs.replace(cell, text=text, confidence=sum(sure) / len(sure) if sure else None)


def _same(table: ReadTable, frame: Sequence[ReadTable]) -> ReadTable | None:
    for other in frame:
        alike = (other.rows, other.columns) == (table.rows, table.columns)
        if alike and overlap(_box(table), _box(other)) >= SAME_PLACE:
            return other
    return None


def _box(table: ReadTable) -> Box:
    return around([cell.box for cell in table.cells])
