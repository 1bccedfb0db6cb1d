"""From readings to what is reported: digits and numbers in reading order, and the tables that they stand in.

What is around a reading decides with it: a digit that looks odd counts among sure ones, and a sure one among letters
does not.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.grid import Bools, Cell, Grid
from edgemnist.digits.read.layout import around, arrange, numbers_in
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, ReadConfig
from edgemnist.digits.read.piece import Sheet
from edgemnist.digits.read.recognize import BAR, Reading
from edgemnist.digits.read.strips import FOREIGN, KEPT_SIGNS, ON_DIGIT, SLASH, Mark, signs_of, surely
from edgemnist.digits.results import ReadCell, ReadDigit, ReadNumber, ReadTable
from edgemnist.digits.task import Box
from edgemnist.ground.arrays import as_number
from edgemnist.model.answers import REFUSED as UNANSWERED
from edgemnist.model.answers import Answer

REFUSED: Final = "?"
"""Stands for a digit that was refused."""
BLANK: Final = " "
"""Stands for an empty cell of a comb."""
COMB_WIDTH: Final = 1.6
"""Width of a comb's cells by their height, at most: wider ones hold a number each."""
CELL_GAP: Final = 1.2
"""Gap within a cell, in heights of a digit, up to which digits are one number, as a cell mostly holds one."""
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
        self._unread = found.parts[0].unread
        self._grids, self._labels, self._config, self._scale = grids, labels, config, scale
        # What is around a digit is judged at one threshold, so that a lower one never refuses more.
        self._readings, self._counts, self._shown = _in_tables(readings, config.min_confidence)
        self._rules: dict[int, str] = {}
        self._ink = found.ink
        self._before: dict[int, str] = {}
        self._signs: dict[int, str] = {}
        self._unseen: set[int] = set()
        self._parts: set[int] = set()
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

    def _report(self) -> None:
        outside = [index for index, reading in enumerate(self._readings) if reading.piece.table is None]
        outer = list(self._lines(outside, self._config.join_gap))
        lines = [numbers for _, numbers in outer]
        self._settle(lines)
        if self._ink is not None:
            tables = {number for number in range(len(self._grids)) if not self._is_comb(number)}
            inner = [number for place, numbers in self._texts.items() if place[0] in tables for number in numbers]
            self._find_signs(self._ink, [*(number for _, numbers in outer for number in numbers), *inner])
            # A comma may have been on a line of its own, with the digit after it.
            whole = [index for index in outside if index not in self._parts]
            outer = [(top, self._joined(numbers)) for top, numbers in self._lines(whole, self._config.join_gap)]
            for place, numbers in self._texts.items():
                kept = [[index for index in number if index not in self._parts] for number in numbers]
                self._texts[place] = self._joined([number for number in kept if number])
        self._refuse_unsure(lines)
        rows: list[Line] = [*outer, *(row for number in range(len(self._grids)) for row in self._rows(number))]
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

    def _find_signs(self, ink: Ink, numbers: Sequence[Sequence[int]]) -> None:
        """Note the signs before digits, and which were read as digits: a slash is a 1 to whoever knows digits alone."""
        answered_ones = [number for number in numbers if any(self._counts[index] for index in number)]
        boxes = [[self._readings[index].piece.box for index in number] for number in answered_ones]
        for number, places, marks in zip(answered_ones, boxes, signs_of(boxes, ink), strict=True):
            middles = np.array([x + w / 2 for x, _, w, _ in places])
            # Alone, ticks, rules and dividers are ones, and letters are other digits.
            unseen = {
                index for index in number
                if not self._may_be_digit(index, marks) and not self._is_one_in_cell(index, number, marks)
            }  # fmt: skip
            self._refuse([index for index in unseen if self._readings[index].label == BAR], "line")
            # What is around these is judged with them.
            self._unseen |= unseen
            # What was opened may be light, and then other ink is in its place.
            seen = all(self._is_seen(index, marks) for index in number if self._readings[index].piece.opened)
            signs = surely(marks, max(h for _, _, _, h in places)) if self._config.signs and seen else []
            # Beside a sign, a fainter one is part of it, and no number has two in a row.
            for mark in sorted(signs, key=lambda mark: -mark.probability):
                nearest = int(np.abs(middles - mark.x).argmin())
                index, after = number[nearest], int(np.searchsorted(middles, mark.x))
                is_bar_or_none = self._readings[index].label == BAR or not self._counts[index]
                by_slash = mark.text != MINUS and SLASH in map(self._signs.get, number[max(0, after - 1) : after + 1])
                if abs(middles[nearest] - mark.x) <= ON_DIGIT * places[nearest][3]:
                    beside = self._before.keys() & {*number[nearest : nearest + 1 + (mark.text == SLASH)]}
                    beside |= self._signs.keys() & {*number[max(0, nearest - 1) : nearest + 2]}
                    inside = 0 < nearest < len(number) - 1 or mark.text == MINUS
                    if mark.text in FOREIGN:
                        self._refuse([index], "foreign")
                    elif is_bar_or_none and inside and mark.text in STROKES and not beside:
                        self._refuse([index], "sign")
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

    def _is_seen(self, index: int, marks: Sequence[Mark]) -> bool:
        """Return whether strips see the digit that this was read as."""
        reading, (x, _, w, h) = self._readings[index], self._readings[index].piece.box
        label = self._labels[reading.label]
        return any(mark.text == label and abs(mark.x - x - w / 2) <= ON_DIGIT * h for mark in marks)

    def _may_be_digit(self, index: int, marks: Sequence[Mark]) -> bool:
        reading, (x, _, w, h) = self._readings[index], self._readings[index].piece.box
        seen = [mark.text for mark in marks if abs(mark.x - x - w / 2) <= ON_DIGIT * h]
        if reading.piece.opened or len(self._readings) == 1 or not self._labels[reading.label].isdigit():
            return True
        return bool(seen) if reading.label == BAR else reading.confidence >= SURE or any(map(str.isdigit, seen))

    def _is_one_in_cell(self, index: int, number: Sequence[int], marks: Sequence[Mark]) -> bool:
        """Return whether this is a stroke in a cell, beside a digit of its height that strips see, and no letter."""
        stroke, others = self._readings[index], [self._readings[other] for other in number if self._speaks(other)]
        heights = [other.piece.box[3] for other in others if other.label != BAR]
        if stroke.label != BAR or stroke.piece.table is None or not heights:
            return False
        seen = any(mark.text.isdigit() and mark.probability >= SURE for mark in marks)
        alike = ALIKE[0] <= stroke.piece.box[3] / np.median(heights) <= ALIKE[1]
        return bool(seen and alike) and not any(mark.text in FOREIGN for mark in marks)

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
            else self._before.get(index, "") + self._signs.get(index, _character(self._digit(index, 0)))
            for index in members
        )  # fmt: skip

    def _settle(self, lines: Sequence[Sequence[Sequence[int]]]) -> None:
        """Decide what counts as a digit: in `lines` of numbers outside of tables, and in tables."""
        for line in lines:
            whole = [index for number in line for index in number]
            members = [self._readings[index] for index in whole]
            for counting_flags, least in (
                (self._counts, DEFAULT_MIN_CONFIDENCE),
                (self._shown, self._config.min_confidence),
            ):
                for index, counts in zip(whole, answered(members, least).tolist(), strict=True):
                    counting_flags[index] = counts
            self._refuse_words(line)
        outside = [index for line in lines for number in line for index in number]
        heights = {index: self._readings[index].piece.box[3] for index in outside if self._counts[index]}
        usual = HIGHER * np.median([*heights.values(), 0])
        # Circles of two sizes are one pattern, however even those of each size are.
        if is_pattern(self._counting(outside)):
            self._refuse(outside, "pattern")
        # What is written into print is higher than what letters look like.
        for is_high in (False, True):
            alike = [index for index, height in heights.items() if (height > usual) == is_high]
            counting = self._counting(alike)
            if is_pattern(counting) or are_doubtful(counting):
                self._refuse(alike, "pattern")
        flags = np.array([self._counts[index] for index in outside], dtype=bool)
        letters = in_print([self._readings[index] for index in outside], flags, self._unread)
        self._refuse([index for index, one in zip(outside, letters.tolist(), strict=True) if one], "print")

    def _refuse_unsure(self, lines: Sequence[Sequence[Sequence[int]]]) -> None:
        """Refuse what is not surely digits: in `lines` of numbers outside of tables, and in tables."""
        # Lines without a sure digit, all together, are digits or none.
        unsure = [index for line in lines if not any(map(self._speaks, chain(*line))) for index in chain(*line)]
        counting = self._counting(unsure)
        if len(unsure) - len(counting) > sum(reading.label != BAR for reading in counting):
            self._refuse(unsure, "unsure")
        parts: dict[int | None, list[list[int]]] = {None: [[*number] for line in lines for number in line]}
        for (table, _), numbers in self._texts.items():
            parts.setdefault(table, []).extend(numbers)
        for numbers in parts.values():
            these = [*chain(*numbers)]
            standing = [one for one in self._counting(these) if one.label != BAR or not one.piece.hangs]
            if len(standing) < FEW * len(these) and not any(map(self._is_number, numbers)):
                self._refuse(these, "unsure")
        self._refuse([*self._unseen], "foreign")
        for number, grid in enumerate(self._grids):
            self._refuse_letters(number, grid)

    def _refuse_letters(self, number: int, grid: Grid) -> None:
        """Refuse what stands in columns of letters, then in rows of them in other columns: names, grades, headings."""
        cells = {grid.cells[place[1]]: these for place, these in self._members.items() if place[0] == number}
        # Signs are no letters.
        counts = [count or index in self._signs for index, count in enumerate(self._counts)]
        flags = [counts[index] for these in cells.values() for index in these]
        least = LEAST_CELLS if sum(flags) >= MOST * len(flags) else FEWEST_CELLS
        for axis in ("column", "row"):
            lines: dict[int, list[Cell]] = {}
            for cell in cells:
                lines.setdefault(getattr(cell, axis), []).append(cell)
            for line in lines.values():
                counting = np.mean([np.mean([counts[index] for index in cells[cell]]) for cell in line])
                sure = np.mean([any(map(self._speaks, cells[cell])) for cell in line])
                if len(line) >= least and counting < FEW and sure <= MOST:
                    for cell in line:
                        self._refuse(cells.pop(cell), "unsure")

    def _is_number(self, number: Sequence[int]) -> bool:
        """Return whether this is surely a number, and not what letters and dials look like."""
        sure = {self._readings[index].label for index in number if self._speaks(index)}
        counts = all(self._counts[index] for index in number)
        return bool(sure.difference(ROUND_OR_STRAIGHT)) or (counts and len(sure) > 1)

    def _speaks(self, index: int) -> bool:
        return self._counts[index] and speaks(self._readings[index])

    def _refuse_words(self, numbers: Sequence[Sequence[int]]) -> None:
        for number in numbers:
            readings, counts = [self._readings[index] for index in number], [self._counts[index] for index in number]
            # What strips have shown has passed for a number before.
            if not all(one.piece.opened for one in readings) and is_word(readings, np.array(counts)):
                self._refuse(number, "word")

    def _counting(self, indices: Sequence[int]) -> list[Reading]:
        return [self._readings[index] for index in indices if self._counts[index]]

    def _refuse(self, indices: Sequence[int], rule: str) -> None:
        for index in indices:
            if self._shown[index]:
                self._rules[index] = rule
            self._counts[index] = self._shown[index] = False

    def _lines(self, indices: Sequence[int], join_gap: float) -> Iterator[tuple[float, list[list[int]]]]:
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


def _in_tables(readings: Sequence[Reading], min_confidence: float) -> tuple[list[Reading], list[bool], list[bool]]:
    """Return the readings without specks in tables, and which count as digits: for the rules, and at the threshold."""
    by_table: dict[int | None, list[Reading]] = {}
    for reading in readings:
        by_table.setdefault(reading.piece.table, []).append(reading)
    kept: list[Reading] = []
    flags: list[bool] = []
    shown: list[bool] = []
    for table, some in by_table.items():
        # Outside of tables, lines come first.
        counts = answered(some, DEFAULT_MIN_CONFIDENCE)
        stay = ~specks(some, counts) if table is not None else np.ones(len(some), dtype=bool)
        kept += [reading for reading, stays in zip(some, stay, strict=True) if stays]
        flags += counts[stay].tolist()
        shown += answered(some, min_confidence)[stay].tolist()
    return kept, flags, shown


def _is_part(box: Box, x: float, top: int, height: int) -> bool:
    """Return whether a low piece is part of a sign at `x`, beside a digit of this top and height."""
    left, above, wide, high = box
    near = abs(left + wide / 2 - x) <= ON_DIGIT * height
    return near and high < LOW * height and top - ON_DIGIT * height <= above <= top + (1 + ON_DIGIT) * height


def _is_between(box: Box, x: float, digit: Box) -> bool:
    """Return whether the middle of a box lies between `x` and a digit, on its line, and it is as high as one."""
    left, above, wide, high = box
    return x < left + wide / 2 < digit[0] and high >= LOW * digit[3] and 0 < above + high / 2 - digit[1] < digit[3]


def _character(digit: ReadDigit) -> str:
    return REFUSED if digit.digit is None else str(digit.digit)


SURE: Final = 0.8
"""Confidence from which on a reading speaks for those around it."""
LEAST_SURE: Final = 3
"""Sure digits that make a row, or a table, of digits."""
MOST: Final = 0.5
"""Share that they are, at least, of all there that is as high as they are."""
AMONG_SURE: Final = 0.25
"""Share of the threshold from which on a digit counts among sure ones."""
ALIKE: Final = (0.6, 1.6)
"""Least and largest height, as a share of the sure digits', of one that counts among them."""
WORD: Final = 2
"""Pieces that are no digits which make a word."""
MOSTLY: Final = 0.5
"""Mean confidence below which a number with so many is a word."""
NO_DIGIT: Final = 0.02
"""Confidence below which a piece is surely a letter."""
ROUND_OR_STRAIGHT: Final = (0, 1)
"""Digits that letters look like."""
SURE_ONE: Final = 0.96
"""Confidence from which on a one speaks: ticks and scraps of lines are ones, too."""
FEW: Final = 2 / 3
"""Share of what there is, outside of tables or in one, below which circles and strokes are no digits."""
LEAST_CELLS: Final = 6
"""Filled cells of a row or column of a table, at least, that tell whether it has letters."""
FEWEST_CELLS: Final = 3
"""The same where less than half of all in the table counts as a digit."""
PATTERN: Final = 12
"""Digits, all the same and of a height, that are a pattern: the empty ovals of an answer sheet are zeros."""
MANY: Final = 100
"""Digits, all the same, that are a pattern at any height."""
LEAST_SPEAKING: Final = 0.25
"""Share of many digits that are surely digits, at least: 0.4 and more in blurred photographs."""
UNEVEN: Final = 0.25
"""Standard deviation of heights, as a share, from which on digits that are all the same were drawn, not written."""
HIGHER: Final = 1.3
"""Times the usual height from which on readings are judged apart from what is lower."""
EVEN: Final = 0.05
"""Standard deviation of heights, as a share, up to which digits that are all the same were printed."""
TEXT: Final = 100
"""Letters of a page of print, at least."""
MOSTLY_TEXT: Final = 0.68
"""Share of its pieces that are letters, at least: up to a quarter of print looks like ones."""
SMALL: Final = 0.45
"""Height, as a share of the usual one, from which on what is too low to be read is a letter: an x has 0.63 of an l."""
WORD_GAP: Final = 0.4
"""Gap between letters of a word, in their heights, at most: a space is half of one."""
WORD_OVERLAP: Final = 0.5
"""Share of the lower one's height that two letters of a word have in common, at least."""
NEAREST: Final = 12
"""Letters around a digit that tell the height of its print."""
TALL: Final = 0.75
"""Quantile of their heights that is the height of the print."""
AS_TALL: Final = 0.8
"""Share of that height that printed digits have at least: an o and a comma have less."""
SPECK: Final = 0.5
"""Share of a usual digit's ink below which what is no digit is a speck in a table."""
LOW: Final = 0.75
"""Share of its height below which it is one."""


def answered(readings: Sequence[Reading], min_confidence: float) -> Bools:
    """Return which readings of a line, or of a table, count as digits: bool [N]."""
    confidences = np.array([reading.confidence for reading in readings])
    heights = np.array([reading.piece.box[3] for reading in readings])
    sure, usual = confidences >= SURE, confidences >= DEFAULT_MIN_CONFIDENCE
    counts: Bools = confidences >= min_confidence
    if sure.sum() < LEAST_SURE:
        return counts
    alike = heights / np.median(heights[sure])
    fits = (alike >= ALIKE[0]) & (alike <= ALIKE[1])
    if sure.sum() < MOST * (fits | usual).sum():
        return counts
    return np.asarray(counts | ((confidences >= AMONG_SURE * min_confidence) & fits))


def is_word(readings: Sequence[Reading], counts: Bools) -> bool:
    """Return whether pieces are a word and not a number, by which of them count as digits, bool [N].

    Most of a word are no digits. If what counts are zeros and ones only, a single sure letter is enough in a short one:
    o and l are what letters are.
    """
    confidences = np.array([reading.confidence for reading in readings])
    others = int((~counts).sum())
    if others >= WORD and confidences.mean() < MOSTLY:
        return True
    like_letters = all(reading.label in ROUND_OR_STRAIGHT for reading, one in zip(readings, counts, strict=True) if one)
    return 2 * others >= len(counts) and like_letters and bool((confidences < NO_DIGIT).any())


def speaks(reading: Reading) -> bool:
    """Return whether a reading is surely a digit: a one has to be surer than a shape."""
    return reading.confidence >= (SURE_ONE if reading.label == BAR else SURE)


def is_pattern(readings: Sequence[Reading]) -> bool:
    """Return whether digits are printed, woven or drawn all over a page: one shape, many times, and nothing else.

    Whoever fills a page with the same digit writes it a little larger here than there, but not twice as large. Strokes
    alone are hatching, ticks or tallies.
    """
    if len(readings) < PATTERN or len({reading.label for reading in readings}) > 1:
        return False
    heights = np.array([reading.piece.box[3] for reading in readings], dtype=float)
    written = readings[0].label != BAR and EVEN < heights.std() / heights.mean() < UNEVEN
    return not written or len(readings) >= MANY


def are_doubtful(readings: Sequence[Reading]) -> bool:
    """Return whether readings are arrows, or dots of a printed picture: of many, few are surely digits."""
    return len(readings) >= PATTERN and sum(map(speaks, readings)) < LEAST_SPEAKING * len(readings)


def in_print(readings: Sequence[Reading], counts: Bools, others: Sequence[Box]) -> Bools:
    """Return which readings that count, bool [N], stand in a word of a page of print, or are as low as letters.

    `others` are the boxes of what was not read: in small print, that is most letters.
    """
    found: Bools = np.zeros(len(readings), dtype=bool)
    if not len(readings):
        return found
    boxes = np.array([reading.piece.box for reading in readings], dtype=float)
    sure = ~counts & np.array([reading.confidence < NO_DIGIT for reading in readings], dtype=bool)
    small = [box for box in others if box[3] >= SMALL * np.median(boxes[:, 3])]
    letters = sure.sum() + len(small)
    if letters < max(TEXT, MOSTLY_TEXT * (letters + counts.sum())):
        return found
    return _in_words(readings, counts, sure, small) | _as_low(boxes, counts, sure)


def _in_words(readings: Sequence[Reading], counts: Bools, letters: Bools, small: Sequence[Box]) -> Bools:
    """Return which of what counts stands in a word with a letter: an h may fall into a 1 and a 7, and an l is a 1."""
    boxes = np.array([*(reading.piece.box for reading in readings), *small], dtype=float)
    left, top, width, height = boxes.T
    right, bottom = left + width, top + height
    in_word: Bools = np.concatenate([letters, np.ones(len(small), dtype=bool)])
    beside = {}
    for index in np.flatnonzero(counts).tolist():
        gap = np.maximum(left, left[index]) - np.minimum(right, right[index])
        shared = np.minimum(bottom, bottom[index]) - np.maximum(top, top[index])
        near = (gap <= WORD_GAP * height[index]) & (shared >= WORD_OVERLAP * np.minimum(height, height[index]))
        beside[index] = np.flatnonzero(near)
    while more := [index for index, others in beside.items() if not in_word[index] and in_word[others].any()]:
        in_word[more] = True
    return counts & in_word[: len(readings)]


def _as_low(boxes: npt.NDArray[np.float64], counts: Bools, letters: Bools) -> Bools:
    """Return which of what counts is lower than the tall ones of the nearest letters."""
    found: Bools = np.zeros(len(boxes), dtype=bool)
    if letters.sum() < NEAREST:
        return found
    height = boxes[:, 3]
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    for index in np.flatnonzero(counts):
        nearest = np.argsort(np.hypot(*(middle[letters] - middle[index]).T), kind="stable")[:NEAREST]
        found[index] = height[index] < AS_TALL * np.quantile(height[letters][nearest], TALL)
    return found


def specks(readings: Sequence[Reading], counts: Bools) -> Bools:
    """Return which readings of a table are neither digits nor as large: what was left of a line, stains, dots."""
    if counts.sum() < LEAST_SURE:
        return np.zeros(len(readings), dtype=bool)
    ink = np.array([np.count_nonzero(reading.piece.ink) for reading in readings])
    heights = np.array([reading.piece.box[3] for reading in readings])
    # A one has little ink, and is as high as the others.
    small = (ink < SPECK * np.median(ink[counts])) & (heights < LOW * np.median(heights[counts]))
    return np.asarray(~counts & small)
