"""What is around a reading decides with it: a small network says whether it is a digit of this page.

A digit that looks odd counts among sure ones, and a sure one among letters, circles or hatching does not. The network
sees numbers alone: how surely this and its neighbours are digits, what strips see there, sizes, and how much of the
page looks the same. Like the others it is an int8 file; `tools/context` made it, and `context.json` records how.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.digits.read.grid import Bools, Floats
from edgemnist.digits.read.layout import CELL_GAP, Along, arrange, median, numbers_in
from edgemnist.digits.read.likeness import (
    DEFAULT_MIN_CONFIDENCE,
    HERE,
    ShippedNetwork,
    checked,
    open_network,
    read_record,
)
from edgemnist.digits.read.piece import Sheet
from edgemnist.digits.read.recognize import BAR, DOUBTFUL, Reading
from edgemnist.digits.read.strips import KEPT_SIGNS, OTHER, SLASH, Mark, signs_of
from edgemnist.digits.task import Box
from edgemnist.model.runtimes.interface import Classifier

WEIGHTS_FILE: Final = HERE / "context.tflite"
RECORD_FILE: Final = HERE / "context.json"
LEAST: Final = 0.35
"""Probability from which on a reading is a digit of the page."""
LETTER: Final = 0.02
"""Confidence below which a reading is surely no digit."""
NEAREST: Final = 8
REACH: Final = 6.0
"""Neighbours of a reading, and how far away they are at most, in its heights."""
CROWD: Final = 3.0
"""Distance up to which what was not read counts as near, in such heights."""
BESIDE: Final = 0.6
"""Distance of a letter from the middle of a reading, in such heights, up to which it is part of it."""
ALIKE: Final = 0.1
"""Logarithm of the ratio of two heights up to which they are the same."""
HALF: Final = 0.5
"""Stands for a share of the neighbours if a reading has none."""
ODDS: Final = 0.002
"""What keeps odds finite."""
LEVEL: Final = 0.5
"""Share of the lower one's height that two have in common, at least, which stand side by side."""
LOW: Final = 0.45
"""Height, as a share of a reading's, from which on something counts as beside it: an x has 0.63 of an l."""
FAR: Final = 3.0
"""Gap to its neighbour on the line, in such heights, from which on a reading has none."""
BELOW: Final = (0.7, 5.0)
"""Distances up or down, in such heights, between which another one is above or below it."""
LETTERS_AROUND: Final = 12
TALL: Final = 0.75
"""Letters around a digit that tell the height of their print, and the quantile of their heights that it is."""
FILLED: Final = 0.4
"""Share of the strongest ink of a piece from which on a pixel of it is filled."""
SMALLEST: Final = 8
"""Height of what was not read, in pixels, from which on it counts."""
GROUPS: Final = {
    "confidence": ("confidence", "log odds", "probability", "one", "zero"),
    "size": ("width by height", "filled", "ink", "ink by sure", "by median", "by sure", "by letters", "pixels", "hangs",
             "in table"),
    "strips": ("same", "digit", "letter", "sign", "letter beside", "nothing"),
    "word": ("length", "mean", "least", "most", "sure in it", "letters in it", "alone", "first", "last", "other",
             "digits", "signs", "strokes", "shapes",
             *(f"{what} {side}" for side in ("before", "after")
               for what in ("gap", "confidence", "letter", "digit", "height", "one"))),
    "surroundings": ("near", "sure near", "letters near", "same near", "other near", "how many", "by theirs", "uneven",
                     "sure in line", "letters in line", "other in line", "line", "unread", "edge", "above", "below",
                     "gap above"),
    "pattern": ("readings", "sure", "letters", "how many sure", "unread of page", "same shape", "ones", "zeros"),
}  # fmt: skip
"""What the network sees of each reading, by what it tells of: a reading is refused for the group that speaks against
it most."""
RANGES: Final = {
    "log odds": (-6, 6), "width by height": (-2, 1.5), "by median": (-1.5, 1.5), "by sure": (-1.5, 1.5),
    "pixels": (2.5, 5.5), "length": (0, 8), "other": (0, 8), "digits": (0, 8), "signs": (0, 3), "how many": (0, 8),
    "by theirs": (-1, 1), "edge": (0, 3), "line": (0, 20), "unread": (0, 4), "readings": (0, 7),
    "how many sure": (0, 6), "by letters": (-1, 1), "shapes": (0, 3), "gap before": (0, 3), "gap after": (0, 3),
    "height before": (-1, 1), "height after": (-1, 1), "gap above": (0, 5), "ink by sure": (0, 2),
}  # fmt: skip
"""Least and largest value of each, where these are not 0 and 1; what is beyond is cut off."""
NAMES: Final = tuple(name for names in GROUPS.values() for name in names)


@dataclass(frozen=True)
class Surroundings:
    """What stands around each of N readings."""

    numbers: list[list[int]]
    """Indices of those that stand side by side, where one at least may be a digit."""
    marks: list[list[Mark]]
    """What strips see in each number."""
    features: npt.NDArray[np.uint8]
    """What the network sees of each reading: uint8 [N, features]."""


def look_around(
    readings: Sequence[Reading], sheet: Sheet, labels: Sequence[str], join_gap: float = CELL_GAP
) -> Surroundings:
    """Return what stands around each reading of a page; digits are one number up to a gap of `join_gap`.

    Raises ArtifactError if the network for strips is missing, damaged, or not the recorded one.
    """
    if not readings:
        return Surroundings([], [], np.empty((0, len(NAMES)), dtype=np.uint8))
    by_place: dict[tuple[int, int], list[int]] = {}
    for index, one in enumerate(readings):
        by_place.setdefault(one.piece.place, []).append(index)
    numbers: list[list[int]] = []
    for (table, _), some in by_place.items():
        boxes, gap = [readings[index].piece.box for index in some], join_gap if table < 0 else max(CELL_GAP, join_gap)
        numbers += [[some[at] for at in row] for line in arrange(boxes) for row in numbers_in(line, boxes, gap)]
    numbers = [number for number in numbers if any(readings[index].confidence >= LETTER for index in number)]
    marks = [[] for _ in numbers] if sheet.ink is None else signs_of(
        [[readings[index].piece.box for index in number] for number in numbers], sheet.ink
    )  # fmt: skip
    return Surroundings(numbers, marks, _Page(readings, sheet, labels).seen(numbers, marks))


def _nearest(at: Floats, middles: Floats, heights: Floats) -> Floats:
    """Return the heights of the `LETTERS_AROUND` letters nearest to a point, or of all if they are fewer."""
    away = np.hypot(*(middles - at).T)
    if len(away) > LETTERS_AROUND:
        near = np.flatnonzero(away <= np.partition(away, LETTERS_AROUND - 1)[LETTERS_AROUND - 1])
        away, heights = away[near], heights[near]
    return heights[np.argsort(away, kind="stable")[:LETTERS_AROUND]]


class _Page:
    """The readings of a page as arrays, and what is seen of each of them by its name."""

    def __init__(self, readings: Sequence[Reading], sheet: Sheet, labels: Sequence[str]) -> None:
        self._readings, self._sheet, self._labels = readings, sheet, labels
        self._boxes = np.array([one.piece.box for one in readings], dtype=np.float64)
        self._height = self._boxes[:, 3]
        self._middles = self._boxes[:, :2] + self._boxes[:, 2:] / 2
        self._confidence = np.array([one.confidence for one in readings])
        self._label = np.array([one.label for one in readings])
        self._tables = np.array([one.piece.place[0] for one in readings])
        self._sure = (self._confidence >= DOUBTFUL) & (self._label != BAR)
        self._letter = self._confidence < LETTER
        self._letters = self._middles[self._letter], self._height[self._letter]
        small = np.array(sheet.parts[0].unread, dtype=np.float64).reshape(-1, 4)
        self._small = small[small[:, 3] >= SMALLEST]
        self._every = np.concatenate([self._boxes, self._small])
        self._tallest = float(self._every[:, 3].max())
        self._crumbs = self._small[:, :2] + self._small[:, 2:] / 2
        self._by_row = Along(self._middles[:, 1])
        self._every_by_row = Along(self._every[:, 1] + self._every[:, 3] / 2)
        self._crumbs_by_row = Along(self._crumbs[:, 1])
        self._values = {name: np.zeros(len(readings)) for name in NAMES}

    def seen(self, numbers: Sequence[Sequence[int]], marks: Sequence[Sequence[Mark]]) -> npt.NDArray[np.uint8]:
        """Return what the network sees: uint8 [N, features]."""
        self._values |= self._own()
        for number, there in zip(numbers, marks, strict=True):
            for index in number:
                self._note(index, self._in_strip(index, there, is_first=index == number[0]))
                if not self._letter[index]:
                    self._note(index, self._in_number(index, number, there))
        for index in np.flatnonzero(~self._letter).tolist():
            self._note(index, self._near(index) | self._in_line(index) | self._above(index))
            self._note(index, self._beside(index, "before", -1) | self._beside(index, "after", 1))
        for table in set(self._tables.tolist()):
            self._note(self._tables == table, self._of_part(self._tables == table))
        columns = []
        for name in NAMES:
            least, most = RANGES.get(name, (0, 1))
            columns.append(np.clip((self._values[name].astype(np.float64) - least) / (most - least), 0, 1))
        return np.asarray(np.rint(255 * np.stack(columns, axis=1)), dtype=np.uint8)

    def _note(self, where: int | Bools, told: dict[str, float]) -> None:
        for name, value in told.items():
            self._values[name][where] = value

    def _own(self) -> dict[str, Floats]:
        height, confidence, usual = self._height, self._confidence, float(np.median(self._height))
        pieces = [one.piece for one in self._readings]
        strongest = np.array([max(1, int(piece.ink.max())) for piece in pieces])
        return {
            "confidence": confidence,
            "log odds": np.log((confidence + ODDS) / (1 + ODDS - confidence)),
            "probability": np.array([one.probability for one in self._readings]),
            "one": self._label == BAR,
            "zero": self._label == 0,
            "width by height": np.log(self._boxes[:, 2] / height),
            "filled": np.array([np.mean(piece.ink > FILLED * piece.ink.max()) for piece in pieces]),
            "ink": strongest / 255,
            "ink by sure": strongest / np.median(strongest[self._sure] if self._sure.any() else strongest),
            "by median": np.log(height / usual),
            "by sure": np.log(height / (np.median(height[self._sure]) if self._sure.any() else usual)),
            "pixels": np.log(height),
            "hangs": np.array([piece.hangs for piece in pieces]),
            "in table": self._tables >= 0,
        }

    def _in_strip(self, index: int, marks: Sequence[Mark], *, is_first: bool) -> dict[str, float]:
        text, box = self._labels[self._label[index]], self._readings[index].piece.box
        there = [mark for mark in marks if mark.is_on(box)]
        if is_first:
            # No number begins with a slash: that is a one with a lean.
            one = self._labels[BAR]
            there = [mark._replace(text=one) if mark.text == SLASH else mark for mark in there]
        near = [mark for mark in marks if abs(mark.x - self._middles[index, 0]) <= BESIDE * self._height[index]]
        return {
            "same": _most(mark for mark in there if mark.text == text),
            "digit": _most(mark for mark in there if mark.text.isdigit()),
            "letter": _most(mark for mark in there if mark.text == OTHER),
            "sign": _most(mark for mark in there if mark.text != OTHER and not mark.text.isdigit()),
            "letter beside": _most(mark for mark in near if mark.text == OTHER),
            "nothing": not there,
        }

    def _in_number(self, index: int, number: Sequence[int], marks: Sequence[Mark]) -> dict[str, float]:
        others = np.array([one for one in number if one != index], dtype=np.int64)
        confidence = self._confidence[others]
        return {
            "length": len(number),
            "mean": _mean(confidence, HALF),
            "least": confidence.min() if len(others) else HALF,
            "most": confidence.max() if len(others) else HALF,
            "sure in it": _mean(self._sure[others], HALF),
            "letters in it": _mean(self._letter[others]),
            "alone": not len(others),
            "first": index == number[0],
            "last": index == number[-1],
            "other": sum(mark.probability for mark in marks if mark.text == OTHER),
            "digits": sum(mark.probability for mark in marks if mark.text.isdigit()),
            "signs": sum(mark.probability for mark in marks if mark.text in KEPT_SIGNS),
            "strokes": _mean(self._label[others] == BAR),
            "shapes": len({int(self._label[one]) for one in number if self._confidence[one] >= DOUBTFUL} - {0, BAR}),
        }

    def _beside(self, index: int, side: str, way: int) -> dict[str, float]:
        """Return what stands next to a reading on its line, `way` to the right of it: what was not read, too."""
        left, top, wide, high = self._boxes[index]
        these = self._every_by_row.within(self._middles[index, 1], (self._tallest + high) / 2)
        x, y, w, h = self._every[these].T
        shared = np.minimum(y + h, top + high) - np.maximum(y, top)
        level = (h >= LOW * high) & (shared >= LEVEL * np.minimum(h, high)) & (way * (x + w / 2 - left - wide / 2) > 0)
        others = np.flatnonzero(level)
        gaps = np.maximum(left, x[others]) - np.minimum(left + wide, x[others] + w[others])
        nearest = int(gaps.argmin()) if len(others) else 0
        if not len(others) or gaps[nearest] >= FAR * high:
            return {f"gap {side}": FAR, f"confidence {side}": HALF}
        other = these[others[nearest]]
        is_read = other < len(self._readings)
        return {
            f"gap {side}": gaps[nearest] / high,
            f"confidence {side}": self._confidence[other] if is_read else 0,
            f"letter {side}": self._values["letter"][other] if is_read else 0,
            f"digit {side}": self._values["digit"][other] if is_read else 0,
            f"height {side}": np.log(self._every[other, 3] / high),
            f"one {side}": is_read and self._label[other] == BAR,
        }

    def _above(self, index: int) -> dict[str, float]:
        """Return what stands above and below a reading, and how high it is by the letters around it."""
        left, _, wide, high = self._boxes[index]
        these = self._by_row.within(self._middles[index, 1], BELOW[1] * high)
        x, w, confidence = self._boxes[these, 0], self._boxes[these, 2], self._confidence[these]
        down = (self._middles[these, 1] - self._middles[index, 1]) / high
        over = (x < left + wide) & (left < x + w) & (np.abs(down) > BELOW[0]) & (np.abs(down) < BELOW[1])
        above, below = (np.flatnonzero(over & (way * down > 0)) for way in (-1, 1))
        around = _nearest(self._middles[index], *self._letters)
        return {
            "above": confidence[above[np.argmax(down[above])]] if len(above) else HALF,
            "below": confidence[below[np.argmin(down[below])]] if len(below) else HALF,
            "gap above": -down[above].max() if len(above) else BELOW[1],
            "by letters": np.log(high / np.quantile(around, TALL)) if len(around) == LETTERS_AROUND else 0,
        }

    def _near(self, index: int) -> dict[str, float]:
        height, box, at = self._height[index], self._boxes[index], self._middles[index]
        these = self._by_row.within(at[1], REACH * height)
        away = np.hypot(*(self._middles[these] - at).T) / height
        away[these == index] = np.inf
        first = np.argsort(away, kind="stable")[:NEAREST]
        nearest = these[first[away[first] < REACH]]
        crumbs = self._crumbs[self._crumbs_by_row.within(at[1], CROWD * height)]
        page = self._sheet.ink
        size = self._boxes[:, :2].max(axis=0) + box[2:] if page is None else np.array(page.shape[::-1])
        return {
            "near": _mean(self._confidence[nearest], HALF),
            "sure near": _mean(self._sure[nearest], HALF),
            "letters near": _mean(self._letter[nearest]),
            "same near": _mean(self._values["same"][nearest], HALF),
            "other near": _mean(self._values["letter"][nearest]),
            "how many": len(nearest),
            "by theirs": np.log(height / median(self._height[nearest])) if len(nearest) else 0,
            "uneven": np.log(self._height[nearest]).std() if len(nearest) else 0,
            "unread": np.log1p((np.hypot(*(crumbs - at).T) < CROWD * height).sum()),
            "edge": np.minimum(box[:2], size - box[:2] - box[2:]).min() / height,
        }

    def _in_line(self, index: int) -> dict[str, float]:
        height, part = self._height[index], self._tables == self._tables[index]
        y, reach = self._middles[index, 1], BESIDE * height
        level = self._by_row.within(y, reach)
        level = level[(np.abs(self._middles[level, 1] - y) < reach) & (level != index)]
        alike = (self._label == self._label[index]) & (np.abs(np.log(self._height / height)) < ALIKE)
        return {
            "sure in line": _mean(self._sure[level], HALF),
            "letters in line": _mean(self._letter[level]),
            "other in line": _mean(self._values["letter"][level]),
            "line": len(level),
            "same shape": _mean(alike[part]),
        }

    def _of_part(self, part: Bools) -> dict[str, float]:
        return {
            "readings": np.log(part.sum()),
            "sure": _mean(self._sure[part]),
            "letters": _mean(self._letter[part]),
            "how many sure": np.log1p(self._sure[part].sum()),
            "unread of page": len(self._small) / (len(self._small) + part.sum()),
            "ones": _mean(self._label[part] == BAR),
            "zeros": _mean(self._label[part] == 0),
        }


def _mean(values: npt.NDArray[Any], without: float = 0.0) -> float:
    return float(values.sum(dtype=np.float64)) / len(values) if len(values) else without


def _most(marks: Iterable[Mark]) -> float:
    return max((mark.probability for mark in marks), default=0.0)


class Context(ShippedNetwork, frozen=True, kw_only=True):
    """What reading takes from the record of the network."""

    typical: list[int]
    """What the network sees of the usual digit: uint8 [features]."""


@cache
def shipped_context() -> tuple[Context, Classifier]:
    """Return the network that comes with the package, and what its record says.

    Raises ArtifactError if a file of it is missing, damaged, or not the recorded one.
    """
    record = read_record(RECORD_FILE, Context)
    checked(WEIGHTS_FILE, record)
    return record, open_network(WEIGHTS_FILE, (len(NAMES),))


def probabilities(network: Classifier, seen: npt.NDArray[np.uint8]) -> Floats:
    """Return how probable it is that each is a digit, by `features`: float64 [N]."""
    return np.asarray(1 / (1 + np.exp(-network.answer(seen)[:, 0].astype(np.float64))))


def judge(seen: npt.NDArray[np.uint8]) -> tuple[list[str | None], list[float]]:
    """Return why each reading, by its `features`, is no digit of the page, and how probable it is that it is one.

    That is one of `GROUPS`, or None if it is a digit.

    The reason is what speaks against it most: with that as it is at the usual digit, it would be the most probable.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    record, network = shipped_context()
    reasons: list[str | None] = [None] * len(seen)
    digits = probabilities(network, seen)
    against = np.flatnonzero(digits < LEAST)
    if not len(against):
        return reasons, digits.tolist()
    usual = np.array(record.typical, dtype=np.uint8)
    without = []
    for names in GROUPS.values():
        columns = [NAMES.index(name) for name in names]
        changed = seen[against]
        changed[:, columns] = usual[columns]
        without.append(probabilities(network, changed))
    for index, group in zip(against.tolist(), np.argmax(without, axis=0).tolist(), strict=True):
        reasons[index] = [*GROUPS][group]
    return reasons, digits.tolist()


TEXT: Final = 100
"""Letters of a page of print, at least."""
MOSTLY_TEXT: Final = 0.68
"""Share of its pieces that are letters, at least: up to a quarter of print looks like ones."""
WORD_GAP: Final = 0.4
"""Gap between letters of a word, in their heights, at most: a space is half of one."""
AS_TALL: Final = 0.8
"""Share of that height that printed digits have at least: an o and a comma have less."""


def in_print(readings: Sequence[Reading], counts: Bools, others: Sequence[Box]) -> Bools:
    """Return which readings that count, bool [N], stand in a word of a page of print, or are as low as letters.

    `others` are the boxes of what was not read: in small print, that is most letters.
    """
    found: Bools = np.zeros(len(readings), dtype=bool)
    if not len(readings):
        return found
    boxes = np.array([reading.piece.box for reading in readings], dtype=float)
    sure = ~counts & np.array([reading.confidence < LETTER for reading in readings], dtype=bool)
    small = [box for box in others if box[3] >= LOW * np.median(boxes[:, 3])]
    letters = sure.sum() + len(small)
    like_digits = sum(reading.confidence >= DEFAULT_MIN_CONFIDENCE for reading in readings)
    if letters < max(TEXT, MOSTLY_TEXT * (letters + like_digits)):
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
        near = (gap <= WORD_GAP * height[index]) & (shared >= LEVEL * np.minimum(height, height[index]))
        beside[index] = np.flatnonzero(near)
    while more := [index for index, others in beside.items() if not in_word[index] and in_word[others].any()]:
        in_word[more] = True
    return counts & in_word[: len(readings)]


def _as_low(boxes: npt.NDArray[np.float64], counts: Bools, letters: Bools) -> Bools:
    """Return which of what counts is lower than the tall ones of the nearest letters."""
    found: Bools = np.zeros(len(boxes), dtype=bool)
    if letters.sum() < LETTERS_AROUND:
        return found
    height = boxes[:, 3]
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    for index in np.flatnonzero(counts):
        around = _nearest(middle[index], middle[letters], height[letters])
        found[index] = height[index] < AS_TALL * np.quantile(around, TALL)
    return found
