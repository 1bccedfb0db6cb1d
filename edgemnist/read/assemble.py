"""From readings to what is reported: digits and numbers in reading order, and the tables that they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgemnist.arrays import Images, as_digit
from edgemnist.read.config import ReadConfig
from edgemnist.read.context import (
    answered,
    are_doubtful,
    are_stripes,
    has_letters,
    in_print,
    is_bar,
    is_barcode,
    is_pattern,
    is_scrap,
    is_word,
    speaks,
    specks,
)
from edgemnist.read.grid import Cell, Grid
from edgemnist.read.layout import around, arrange, numbers_in
from edgemnist.read.piece import Sheet
from edgemnist.read.recognize import Reading
from edgemnist.results.pictures import Box, ReadCell, ReadDigit, ReadNumber, ReadTable

REFUSED: Final = "?"
BLANK: Final = " "
COMB_WIDTH: Final = 1.6
"""The cells of a comb are at most this wide, against their height: wider ones hold a number each."""
CELL_GAP: Final = 1.2
"""In a cell, digits belong to one number where the gap between them is at most this share of their height: a cell holds
one number in most tables."""
TABLE_CELLS: Final = 2
"""A single cell is a frame around something, and no table."""

Member = int | None
"""Index of a reading, or None for an empty cell of a comb."""


@dataclass(frozen=True, eq=False)
class SeenDigit:
    """A digit of a page as the classifier was given it."""

    image: Images
    """uint8 [28, 28]."""
    answer: str | None
    """Name of the class; None where it was refused."""
    confidence: float
    """That it is this class, and a digit at all."""
    probability: float
    """Of the class as the classifier alone sees it."""


@dataclass(frozen=True)
class _Line:
    """A line of the page, or a row of a table, with its numbers."""

    top: float
    numbers: list[list[Member]]


class Assembled:
    """A page in reading order."""

    digits: list[ReadDigit]
    numbers: list[ReadNumber]
    tables: list[ReadTable]

    def __init__(
        self,
        readings: Sequence[Reading],
        found: Sheet,
        labels: tuple[str, ...],
        config: ReadConfig,
        scale: tuple[float, float],
    ) -> None:
        """`found` is what was read; `labels` are the classifier's; `scale` brings x and y to pixels of the picture."""
        grids = found.grids
        self._unread, self._staves = found.parts[0].unread, found.staves
        self._grids, self._labels, self._config, self._scale = grids, labels, config, scale
        self._readings, self._counts = _in_tables(readings, config.min_confidence)
        readings = self._readings
        self._boxes = [self._scaled(reading.piece.box) for reading in readings]
        shown = [number for number, grid in enumerate(grids) if len(grid.cells) >= TABLE_CELLS]
        self._index_of = {number: index for index, number in enumerate(shown)}
        self._members: dict[tuple[int, int], list[int]] = {}
        for index, reading in enumerate(readings):
            if reading.piece.table is not None and reading.piece.cell is not None:
                self._members.setdefault(reading.piece.place, []).append(index)
        # What is printed into a cell stands beside what is written there.
        for these in self._members.values():
            for _, numbers in self._lines(these, config.join_gap):
                self._refuse_words(numbers)
        self._texts = {
            place: [number for _, numbers in self._lines(these, max(CELL_GAP, config.join_gap)) for number in numbers]
            for place, these in self._members.items()
        }
        self.digits, self.numbers = [], []
        self._report()
        self.tables = [self._table(number) for number in shown]

    def seen(self) -> list[SeenDigit]:
        """Return what the classifier was given, and what was answered, in no order."""
        return [
            SeenDigit(
                image=reading.image,
                answer=self._labels[reading.label] if counts else None,
                confidence=reading.confidence,
                probability=reading.probability,
            )
            for reading, counts in zip(self._readings, self._counts, strict=True)
            if reading.image is not None
        ]

    def _report(self) -> None:
        outside = [index for index, reading in enumerate(self._readings) if reading.piece.table is None]
        lines = [_Line(top, numbers) for top, numbers in self._lines(outside, self._config.join_gap)]
        for number in range(len(self._grids)):
            lines += self._rows(number)
        self._settle(lines)
        for count, line in enumerate(sorted(lines, key=lambda line: line.top)):
            for members in line.numbers:
                digits = [None if index is None else self._digit(index, count) for index in members]
                read = [digit for digit in digits if digit is not None]
                self.digits += read
                self.numbers.append(
                    ReadNumber(
                        text="".join(BLANK if digit is None else _character(digit) for digit in digits),
                        confidence=min(digit.confidence for digit in read),
                        line=count,
                        box=around([digit.box for digit in read]),
                    )
                )

    def _settle(self, lines: Sequence[_Line]) -> None:
        """Decide what counts as a digit outside of tables."""
        kept: list[list[list[int]]] = []
        for line in lines:
            whole = [index for members in line.numbers for index in members if index is not None]
            if any(self._readings[index].piece.table is not None for index in whole):
                continue
            kept.append([[index for index in members if index is not None] for members in line.numbers])
            counts = answered([self._readings[index] for index in whole], self._config.min_confidence)
            for index, one in zip(whole, counts.tolist(), strict=True):
                self._counts[index] = one
            self._refuse_words(line.numbers)
            if is_barcode([self._readings[index] for index in whole]):
                self._refuse(whole)
        outside = [index for line in kept for members in line for index in members]
        counting = self._counting(outside)
        if is_pattern(counting) or are_stripes(counting) or are_doubtful(counting):
            self._refuse(outside)
        self._refuse([index for index in outside if self._is_music(index)])
        flags = np.array([self._counts[index] for index in outside], dtype=bool)
        letters = in_print([self._readings[index] for index in outside], flags, self._unread)
        self._refuse([index for index, one in zip(outside, letters.tolist(), strict=True) if one])
        # Lines without a sure digit, all together, are digits or none; and so is a table without one.
        unsure = [index for line in kept if not self._is_sure(line) for members in line for index in members]
        counting = self._counting(unsure)
        if len(unsure) - len(counting) > sum(not is_bar(reading) for reading in counting):
            self._refuse(unsure)
        tables: dict[int, list[int]] = {}
        for (table, _), some in self._members.items():
            tables.setdefault(table, []).extend(some)
        for these in tables.values():
            self._refuse([index for index in these if is_scrap(self._readings[index])])
            counting = self._counting(these)
            if (2 * len(counting) < len(these) and not any(map(speaks, counting))) or are_doubtful(counting):
                self._refuse(these)

    def _is_music(self, index: int) -> bool:
        """Tell whether a reading is on a staff."""
        x, y, width, height = self._readings[index].piece.box
        return any(staff.holds(x + width / 2, y + height / 2) for staff in self._staves)

    def _is_sure(self, line: Sequence[Sequence[int]]) -> bool:
        """Tell whether there is surely a digit in a line. A bar among more of what is none is a part of it."""
        whole = [index for members in line for index in members]
        speaking = [reading for members in line for reading in self._speaking(members)]
        if all(map(is_bar, speaking)) and 2 * len(self._counting(whole)) < len(whole):
            return False
        return bool(speaking)

    def _speaking(self, members: Sequence[int]) -> list[Reading]:
        """Return what is surely a digit in what may be a number."""
        if has_letters([self._readings[index] for index in members]):
            return []
        return [reading for reading in self._counting(members) if speaks(reading)]

    def _refuse_words(self, numbers: Sequence[Sequence[Member]]) -> None:
        """Let nothing in a word count as a digit."""
        for number in numbers:
            members = [index for index in number if index is not None]
            if is_word(
                [self._readings[index] for index in members], np.array([self._counts[index] for index in members])
            ):
                self._refuse(members)

    def _counting(self, indices: Sequence[int]) -> list[Reading]:
        """Return those of some readings that count."""
        return [self._readings[index] for index in indices if self._counts[index]]

    def _refuse(self, indices: Sequence[int]) -> None:
        for index in indices:
            self._counts[index] = False

    def _lines(self, indices: Sequence[int], join_gap: float) -> Iterator[tuple[float, list[list[Member]]]]:
        """Give some readings as lines, each with its top and its numbers."""
        for line in arrange([self._boxes[index] for index in indices]):
            these = [indices[one] for one in line]
            top = min(self._boxes[index][1] for index in these)
            yield top, [list(number) for number in numbers_in(these, self._boxes, join_gap)]

    def _rows(self, number: int) -> Iterator[_Line]:
        """Give the rows of a table that are not empty; a comb is one number, with a blank for each empty cell."""
        grid = self._grids[number]
        top = float(grid.vertices[..., 1].min()) * self._scale[1]
        comb = self._is_comb(number)
        for row in range(grid.rows):
            cells = [(number, index) for index, cell in enumerate(grid.cells) if cell.row == row]
            filled = [place for place in cells if place in self._members]
            if not filled:
                continue
            numbers = [one for place in filled for one in self._texts[place]]
            if comb:
                span = cells[cells.index(filled[0]) : cells.index(filled[-1]) + 1]
                numbers = [[self._members[place][0] if place in self._members else None for place in span]]
            # The rows of a table follow one another, whatever stands beside it.
            yield _Line(top + row / (grid.rows + 1), numbers)

    def _is_comb(self, number: int) -> bool:
        """Tell whether all cells of a table are one number: a single row of cells with a digit each."""
        grid = self._grids[number]
        if grid.rows > 1 or len(grid.cells) < TABLE_CELLS or grid.cell_width > COMB_WIDTH * grid.cell_height:
            return False
        return all(len(these) == 1 for (table, _), these in self._members.items() if table == number)

    def _table(self, number: int) -> ReadTable:
        grid = self._grids[number]
        x, y = self._scale
        return ReadTable(
            rows=grid.rows,
            columns=grid.columns,
            corners=[(round(left * x), round(top * y)) for left, top in grid.corners.tolist()],
            cells=[self._cell(grid, cell, (number, index)) for index, cell in enumerate(grid.cells)],
        )

    def _cell(self, grid: Grid, cell: Cell, place: tuple[int, int]) -> ReadCell:
        numbers = [[index for index in number if index is not None] for number in self._texts.get(place, [])]
        (left, top), (right, bottom) = (bound(grid.quad(cell), axis=0) for bound in (np.min, np.max))
        return ReadCell(
            row=cell.row,
            column=cell.column,
            rows=cell.rows,
            columns=cell.columns,
            box=self._scaled((round(left), round(top), round(right - left), round(bottom - top))),
            text=" ".join("".join(_character(self._digit(index, 0)) for index in number) for number in numbers),
            confidence=min((self._readings[index].confidence for number in numbers for index in number), default=None),
        )

    def _digit(self, index: int, line: int) -> ReadDigit:
        reading = self._readings[index]
        table, cell = reading.piece.place
        place = self._grids[table].cells[cell] if table in self._index_of else None
        return ReadDigit(
            digit=as_digit(self._labels[reading.label]) if self._counts[index] else None,
            confidence=reading.confidence,
            box=self._boxes[index],
            line=line,
            table=self._index_of.get(table),
            row=None if place is None else place.row,
            column=None if place is None else place.column,
        )

    def _scaled(self, box: Box) -> Box:
        x, y = self._scale
        left, top = round(box[0] * x), round(box[1] * y)
        right, bottom = round((box[0] + box[2]) * x), round((box[1] + box[3]) * y)
        return left, top, max(1, right - left), max(1, bottom - top)


def _in_tables(readings: Sequence[Reading], min_confidence: float) -> tuple[list[Reading], list[bool]]:
    """Return the readings without specks in tables, and which of them count as digits."""
    by_table: dict[int | None, list[Reading]] = {}
    for reading in readings:
        by_table.setdefault(reading.piece.table, []).append(reading)
    kept: list[Reading] = []
    flags: list[bool] = []
    for table, some in by_table.items():
        if table is None:
            counts = np.array([reading.confidence >= min_confidence for reading in some])
            stay = np.ones(len(some), dtype=bool)
        else:
            counts = answered(some, min_confidence)
            stay = ~specks(some, counts)
        kept += [reading for reading, stays in zip(some, stay, strict=True) if stays]
        flags += counts[stay].tolist()
    return kept, flags


def _character(digit: ReadDigit) -> str:
    return REFUSED if digit.digit is None else str(digit.digit)
