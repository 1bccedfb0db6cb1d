"""From readings to what is reported: digits and numbers in reading order, and the tables that they stand in.

What is around a reading decides with it: a digit that looks odd counts among sure ones, and a sure one among letters
does not.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from edgemnist.digits.read.context import LETTER, in_print, judge, look_around
from edgemnist.digits.read.grid import Cell, Grid
from edgemnist.digits.read.layout import CELL_GAP, around, arrange, numbers_in
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, ReadConfig
from edgemnist.digits.read.piece import Sheet
from edgemnist.digits.read.recognize import BAR, DOUBTFUL, Reading
from edgemnist.digits.read.sliding import is_seen
from edgemnist.digits.read.strips import FOREIGN, KEPT_SIGNS, ON_DIGIT, SLASH, surely
from edgemnist.digits.results import ReadCell, ReadDigit, ReadNumber, ReadTable
from edgemnist.digits.task import DIGITS, Box
from edgemnist.ground.arrays import as_number
from edgemnist.model.answers import REFUSED as UNANSWERED
from edgemnist.model.answers import Answer

REFUSED: Final = "?"
"""Stands for a digit that was refused."""
BLANK: Final = " "
"""Stands for an empty cell of a comb."""
COMB_WIDTH: Final = 1.6
"""Width of a comb's cells by their height, at most: wider ones hold a number each."""
TABLE_CELLS: Final = 2
"""Cells of a table, at least: a single one is a frame around something."""

STROKES: Final = "/-"
"""Signs that may be read as a digit, or are a piece as large as one."""
MINUS: Final = "-"
SIGN_GAP: Final = 1.5
"""Gap between two digits with a sign between them, in their heights, at most."""

Member = int | None
"""Index of a reading, or None for an empty cell of a comb."""
Line = tuple[float, Sequence[Sequence[Member]]]
"""Top of a line of the page, or of a row of a table, and its numbers."""


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
        self._grids, self._labels, self._config, self._scale = grids, labels, config, scale
        self._readings = readings = without_specks(readings)
        self._rules: dict[int, str] = {}
        self._ink = found.ink
        self._before: dict[int, str] = {}
        self._signs: dict[int, str] = {}
        self._parts: set[int] = set()
        self._boxes = [self._scaled(reading.piece.box) for reading in readings]
        shown = [number for number, grid in enumerate(grids) if len(grid.cells) >= TABLE_CELLS]
        self._index_of = {number: index for index, number in enumerate(shown)}
        self._members: dict[tuple[int, int], list[int]] = {}
        for index, reading in enumerate(readings):
            if reading.piece.table is not None and reading.piece.cell is not None:
                self._members.setdefault(reading.piece.place, []).append(index)
        self._outside = [index for index, reading in enumerate(readings) if reading.piece.table is None]
        self._lines = [*self._arranged(self._outside, config.join_gap)]
        self._texts = {
            place: [number for _, row in self._arranged(these, max(CELL_GAP, config.join_gap)) for number in row]
            for place, these in self._members.items()
        }
        self._judge(found)
        self.digits, self.numbers = [], []
        self._report()
        self.tables = [self._table(number) for number in shown]

    def answers(self, source: str) -> list[Answer]:
        """Return what was answered to each digit of a page, `source`, in no order."""
        return [
            Answer(
                image=reading.image,
                source=source,
                index=reading.label if shown else UNANSWERED,
                label=self._labels[reading.label] if shown else None,
                confidence=reading.confidence,
                probability=reading.probability,
            )
            for reading, shown in zip(self._readings, self._shown, strict=True)
            if reading.image is not None
        ]

    def _judge(self, found: Sheet) -> None:
        """Decide what counts as a digit, at the default threshold, and what is shown as one, at that of the user."""
        surroundings = look_around(self._readings, found, self._labels, self._config.join_gap)
        self._asked, self._marks = surroundings.numbers, surroundings.marks
        # Around a single one there is nothing.
        self._judged = judged = self._labels == DIGITS and found.ink is not None and len(self._readings) > 1
        none = [None] * len(self._readings), [1.0] * len(self._readings)
        reasons, digits = judge(surroundings.features) if judged else none
        self._counts, self._shown = [], []
        for index, (reading, reason) in enumerate(zip(self._readings, reasons, strict=True)):
            # What strips have shown was judged by them.
            by_context = judged and not reading.piece.opened
            counts = not by_context or (reason is None and reading.confidence >= LETTER)
            share = AMONG_SURE if by_context else 1.0
            self._counts.append(counts and reading.confidence >= share * DEFAULT_MIN_CONFIDENCE)
            self._shown.append(counts and reading.confidence >= share * self._config.min_confidence)
            if reason is not None and reading.confidence >= self._config.min_confidence:
                self._rules[index] = reason
        if judged:
            self._judge_numbers()
            self._refuse_print(found.parts[0].unread, digits)

    def _judge_numbers(self) -> None:
        """Refuse strokes that strips do not see, and words."""
        for number, marks in zip(self._asked, self._marks, strict=True):
            for index in number:
                piece, is_bar = self._readings[index].piece, self._readings[index].label == BAR
                alone = piece.table is None and not piece.opened
                # Ticks and parts of digits are strokes as well.
                if is_bar and alone and not any(mark.is_on(piece.box) for mark in marks):
                    self._refuse(index, "strips")
            among = [self._counts[index] for index in number]
            if among.count(False) >= WORD and sum(among) < DIGITS_OF_WORD * len(among):
                for index in number:
                    self._refuse(index, "word")

    def _refuse_print(self, unread: Sequence[Box], digits: Sequence[float]) -> None:
        """Refuse what is as low as letters, or beside one, on a page of print; `digits` are its probabilities."""
        outside = [self._readings[index] for index in self._outside]
        flags = np.array([self._counts[index] for index in self._outside], dtype=bool)
        sure = {index for number in self._asked if min(digits[one] for one in number) >= IN_PRINT for index in number}
        for index, is_letter in zip(self._outside, in_print(outside, flags, unread).tolist(), strict=True):
            if is_letter and index not in sure:
                self._refuse(index, "print")

    def _report(self) -> None:
        lines = self._lines
        if self._ink is not None:
            self._find_signs()
            if self._judged:
                self._refuse_circles()
            # A comma may have been on a line of its own, with the digit after it.
            whole = [index for index in self._outside if index not in self._parts]
            lines = [(top, self._joined(row)) for top, row in self._arranged(whole, self._config.join_gap)]
            for place, numbers in self._texts.items():
                kept = [[index for index in number if index not in self._parts] for number in numbers]
                self._texts[place] = self._joined([number for number in kept if number])
        rows: list[Line] = [*lines, *(row for number in range(len(self._grids)) for row in self._rows(number))]
        for count, (_, row) in enumerate(sorted(rows, key=lambda line: line[0])):
            for members in row:
                digits = [None if index is None else self._digit(index, count) for index in members]
                read = [digit for digit in digits if digit is not None]
                self.digits += read
                self.numbers.append(
                    ReadNumber(
                        text=self._text(members),
                        confidence=min(digit.confidence for digit in read),
                        line=count,
                        box=around([digit.box for digit in read]),
                    )
                )

    def _find_signs(self) -> None:
        """Note the signs before digits, and which were read as digits: a slash is a 1 to whoever knows digits alone."""
        for number, marks in zip(self._asked, self._marks, strict=True):
            row = [self._readings[index] for index in number]
            places = [one.piece.box for one in row]
            table = row[0].piece.table
            if not any(self._counts[index] for index in number) or (table is not None and self._is_comb(table)):
                continue
            middles = np.array([x + w / 2 for x, _, w, _ in places])
            # What was opened may be light, and then other ink is in its place.
            seen = all(is_seen(one, marks, self._labels) for one in row if one.piece.opened)
            signs = surely(marks, max(h for _, _, _, h in places)) if self._config.signs and seen else []
            # Beside a sign, a fainter one is part of it, and no number has two in a row.
            for mark in sorted(signs, key=lambda mark: -mark.probability):
                nearest = int(np.abs(middles - mark.x).argmin())
                index, after = number[nearest], int(np.searchsorted(middles, mark.x))
                is_bar_or_none = self._readings[index].label == BAR or not self._counts[index]
                by_slash = mark.text != MINUS and SLASH in map(self._signs.get, number[max(0, after - 1) : after + 1])
                if mark.is_on(places[nearest]):
                    beside = self._before.keys() & {*number[nearest : nearest + 1 + (mark.text == SLASH)]}
                    beside |= self._signs.keys() & {*number[max(0, nearest - 1) : nearest + 2]}
                    inside = 0 < nearest < len(number) - 1 or mark.text == MINUS
                    if mark.text in FOREIGN:
                        self._refuse(index, "strips")
                    elif is_bar_or_none and inside and mark.text in STROKES and not beside:
                        self._refuse(index, "sign")
                        self._signs[index] = mark.text
                elif mark.text in KEPT_SIGNS and after < len(number) and not by_slash:
                    others = set(range(len(self._readings))).difference(number)
                    first, (_, y, _, h) = self._readings[number[after]].piece.box, places[nearest]
                    # What a strip reaches to the left may be before the digit of another number.
                    if not any(_is_between(self._readings[other].piece.box, mark.x, first) for other in others):
                        self._before.setdefault(number[after], mark.text)
                    self._parts |= {
                        other for other in others if _is_part(self._readings[other].piece.box, mark.x, y, h)
                    }

    def _refuse_circles(self) -> None:
        """Refuse zeros and ones amid what is no digit, as circles and strokes are: outside of tables, and in each."""
        parts: dict[int | None, list[list[int]]] = {None: [number for _, row in self._lines for number in row]}
        for (table, _), numbers in self._texts.items():
            parts.setdefault(table, []).extend(numbers)
        for numbers in parts.values():
            these = [index for number in numbers for index in number]
            counting = [self._readings[index] for index in these if self._counts[index]]
            standing = [one for one in counting if one.label != BAR or not one.piece.hangs]
            if len(standing) < FEW * len(these) and not any(map(self._is_number, numbers)):
                for index in these:
                    self._refuse(index, "pattern")

    def _is_number(self, number: Sequence[int]) -> bool:
        """Return whether this is surely a number, and not what letters and dials look like."""
        sure = {self._readings[index].label for index in number if self._speaks(index)}
        return bool(sure.difference(ROUND_OR_STRAIGHT)) or (len(sure) > 1 and all(self._counts[i] for i in number))

    def _speaks(self, index: int) -> bool:
        """Return whether a reading is surely a digit: a one has to be surer than a shape."""
        reading = self._readings[index]
        return self._counts[index] and reading.confidence >= (SURE_ONE if reading.label == BAR else DOUBTFUL)

    def _joined(self, numbers: Sequence[list[int]]) -> list[list[int]]:
        """Return the numbers of a line, those with a sign between them as one; only a minus stands before the first."""
        result: list[list[int]] = []
        for number in numbers:
            sign = self._before.get(number[0])
            if sign and result:
                before, after = self._boxes[result[-1][-1]], self._boxes[number[0]]
                if after[0] - before[0] - before[2] <= SIGN_GAP * max(before[3], after[3]):
                    result[-1].extend(number)
                    continue
            if sign != MINUS:
                self._before.pop(number[0], None)
            result.append(number)
        return result

    def _text(self, members: Sequence[Member]) -> str:
        return "".join(
            BLANK if index is None
            else self._before.get(index, "")
            + self._signs.get(index, self._labels[self._readings[index].label] if self._shown[index] else REFUSED)
            for index in members
        )  # fmt: skip

    def _refuse(self, index: int, rule: str) -> None:
        if self._shown[index]:
            self._rules[index] = rule
        self._counts[index] = self._shown[index] = False

    def _arranged(self, indices: Sequence[int], join_gap: float) -> Iterator[tuple[float, list[list[int]]]]:
        """Give some readings as lines, each with its top and its numbers."""
        for line in arrange([self._boxes[index] for index in indices]):
            these = [indices[place] for place in line]
            yield min(self._boxes[index][1] for index in these), numbers_in(these, self._boxes, join_gap)

    def _rows(self, number: int) -> Iterator[Line]:
        """Give the rows of a table that are not empty; a comb is one number, with a blank for each empty cell."""
        grid = self._grids[number]
        top = float(grid.vertices[..., 1].min()) * self._scale[1]
        comb = self._is_comb(number)
        for row in range(grid.rows):
            cells = [(number, index) for index, cell in enumerate(grid.cells) if cell.row == row]
            filled = [place for place in cells if place in self._members]
            if not filled:
                continue
            numbers: list[list[Member]] = [[*number] for place in filled for number in self._texts[place]]
            if comb:
                span = cells[cells.index(filled[0]) : cells.index(filled[-1]) + 1]
                numbers = [[self._members[place][0] if place in self._members else None for place in span]]
            # The rows of a table follow one another, whatever stands beside it.
            yield top + row / (grid.rows + 1), numbers

    def _is_comb(self, number: int) -> bool:
        """Return whether all cells of a table are one number: a single row of cells with a digit each."""
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
        numbers = self._texts.get(place, [])
        (left, top), (right, bottom) = (bound(grid.quad(cell), axis=0) for bound in (np.min, np.max))
        return ReadCell(
            row=cell.row,
            column=cell.column,
            rows=cell.rows,
            columns=cell.columns,
            box=self._scaled((round(left), round(top), round(right - left), round(bottom - top))),
            text=" ".join(map(self._text, numbers)),
            confidence=min((self._readings[index].confidence for number in numbers for index in number), default=None),
        )

    def _digit(self, index: int, line: int) -> ReadDigit:
        reading = self._readings[index]
        table, cell = reading.piece.place
        place = self._grids[table].cells[cell] if table in self._index_of else None
        return ReadDigit(
            digit=as_number(self._labels[reading.label]) if self._shown[index] else None,
            runner_up=as_number(self._labels[reading.runner_up]) if self._shown[index] else None,
            refused=None if self._shown[index] else self._rules.get(index, "confidence"),
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


def _is_part(box: Box, x: float, top: int, height: int) -> bool:
    """Return whether a low piece is part of a sign at `x`, beside a digit of this top and height."""
    left, above, wide, high = box
    near = abs(left + wide / 2 - x) <= ON_DIGIT * height
    return near and high < LOW * height and top - ON_DIGIT * height <= above <= top + (1 + ON_DIGIT) * height


def _is_between(box: Box, x: float, digit: Box) -> bool:
    """Return whether the middle of a box lies between `x` and a digit, on its line, and it is as high as one."""
    left, above, wide, high = box
    return x < left + wide / 2 < digit[0] and high >= LOW * digit[3] and 0 < above + high / 2 - digit[1] < digit[3]


AMONG_SURE: Final = 0.25
"""Share of the threshold from which on a digit counts where what is around it speaks for it."""
IN_PRINT: Final = 0.9
"""Probability of each of its digits from which on a number counts in print."""
WORD: Final = 2
"""Pieces that are no digits which make a word."""
DIGITS_OF_WORD: Final = 0.25
"""Share of its pieces, at most, that count as digits: a g at the end of one is a 9."""
ROUND_OR_STRAIGHT: Final = (0, 1)
"""Digits that circles, strokes and letters look like."""
SURE_ONE: Final = 0.96
"""Confidence from which on a one speaks: ticks and scraps of lines are ones, too."""
FEW: Final = 2 / 3
"""Share of what there is, outside of tables or in one, below which circles and strokes are no digits."""
LEAST_DIGITS: Final = 3
"""Digits of a table, at least, that tell what is a speck beside them."""
SPECK: Final = 0.5
"""Share of a usual digit's ink below which what is no digit is a speck in a table."""
LOW: Final = 0.75
"""Share of its height below which it is one."""


def without_specks(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings without those of a table that are neither digits nor as large: stains, rests of lines."""
    by_table: dict[int | None, list[Reading]] = {}
    for reading in readings:
        by_table.setdefault(reading.piece.table, []).append(reading)
    kept: list[Reading] = []
    for table, some in by_table.items():
        digits = [one for one in some if one.confidence >= DEFAULT_MIN_CONFIDENCE]
        if table is None or len(digits) < LEAST_DIGITS:
            kept += some
            continue
        # A one has little ink, and is as high as the others.
        ink = SPECK * np.median([np.count_nonzero(one.piece.ink) for one in digits])
        height = LOW * np.median([one.piece.box[3] for one in digits])
        kept += [
            one for one in some
            if one.confidence >= DEFAULT_MIN_CONFIDENCE
            or np.count_nonzero(one.piece.ink) >= ink or one.piece.box[3] >= height
        ]  # fmt: skip
    return kept
