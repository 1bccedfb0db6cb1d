"""Digits that are no pieces of their own, in dark fields or held together by a line, by strips that slide over them.

A digit is seen by several strips, of other heights and a few rows further down, and counts where they agree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import compress, groupby, pairwise
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.grid import Bools, Floats
from edgemnist.digits.read.layout import DIGIT_WIDTH, Along, around, arrange, median, numbers_in, overlap
from edgemnist.digits.read.piece import Piece
from edgemnist.digits.read.recognize import BAR, DOUBTFUL, TALL, Reading
from edgemnist.digits.read.strips import DIGIT, HEIGHT, KEPT_SIGNS, ON_DIGIT, Mark, read_strips, signs_of, surely
from edgemnist.digits.task import Box

HEIGHTS: Final = (0.95, 0.8, 0.68, 0.57, 0.48, 0.4)
"""Heights that the digits are supposed to have, by the window's. All numbers here but these were chosen on 160 drawn
windows of `benchmarks.vision.strips` and 30 with handwriting; of equals there, by two photographs of meters."""
TOGETHER: Final = 3
"""Such heights, one after another, by which a number is read."""
NEARLY: Final = 0.8
"""Share of the best way to look from which on another one is as good, with larger digits: parts of a 0 are ones."""
STEP: Final = 8
"""Rows by which a strip is further down than the one before, in pixels of a strip."""
NEAR: Final = 0.3
"""Distance, in heights of a digit, up to which two marks are of the same thing."""
FLAT: Final = 1.5
"""Times as far upwards or downwards: what is lower than its strip is seen wherever it is in it."""
SURE: Final = 1.5
"""Sum of the probabilities that say the same, less those of others, from which on a digit counts."""
AGREED: Final = 0.6
"""Share of such probabilities in all, at least."""
SPOTS: Final = 3
FEWEST: Final = 2
"""Digits that a window has, and that count, at least: empty frames have two false ones more often than displays do."""
BROKEN_LEAD: Final = 3.0
"""Mean lead of the digits of a row that falls into parts, at least: those of a display, or of a printer, have 3.7."""


class _Spot(NamedTuple):
    digit: int
    lead: float
    """Sum of the probabilities that say so, less those of what says something else there."""
    share: float
    x: float
    y: float
    height: float
    runner_up: int

    @property
    def sure(self) -> bool:
        return self.lead >= SURE and self.share >= AGREED


def with_opened(
    grey: Grey, fields: Sequence[tuple[Box, int]], readings: Sequence[Reading], labels: Sequence[str]
) -> list[Reading]:
    """Return the readings of a page, uint8 [h, w], with those of its fields in place of what was read there.

    `fields` are the boxes of its windows, with a 0, and of rows that seem to fall into parts, with the number of their
    digits. A row counts only if strips see at least that many digits there, and are sure of every one.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    result = [*readings]
    for box, digits in fields:
        spots = _spots_in(grey, box)
        sure = [spot for spot in spots if spot.sure]
        there = [one for one in result if _is_within(one.piece.box, box)]
        if digits:
            clear = len(sure) == len(spots) >= digits and sum(spot.lead for spot in sure) >= BROKEN_LEAD * len(sure)
            taken = clear and not any(one.is_sure for one in there)
        else:
            known = len(there) >= len(spots) and all(one.confidence >= DOUBTFUL for one in there)
            taken = not known and len(spots) >= SPOTS and len(sure) >= FEWEST
        # Bars alone are its edges.
        if taken and {spot.digit for spot in sure} != {BAR}:
            result = [one for one in result if all(one is not other for other in there)]
            result += [_reading(grey, spot._replace(x=box[0] + spot.x, y=box[1] + spot.y), labels) for spot in spots]
    return result


def _spots_in(grey: Grey, box: Box) -> list[_Spot]:
    """Return the digits in a window, unless it is words, seen in the way that shows most: by height, dark or light."""
    x, y, w, h = box
    inside = grey[y : y + h, x : x + w]
    heights = h * np.array(HEIGHTS)
    seen = [_marks(ink, heights)[0] for ink in (255 - inside, inside)]
    ways = [
        marks[np.isin(marks[:, 4], heights[first : first + TOGETHER])]
        for first in range(len(HEIGHTS) - TOGETHER + 1) for marks in seen
    ]  # fmt: skip
    found = [_spots(marks) for marks in ways]
    worth = [sum(spot.lead * (2 * spot.share - 1) for spot in spots) for spots in found]
    best = next(index for index, value in enumerate(worth) if value >= NEARLY * max(worth))
    letters = float(ways[best][ways[best][:, 0] == LETTER, 1].sum())
    return [] if letters > LETTERS_IN_WINDOW * sum(spot.lead for spot in found[best]) else found[best]


def _is_within(box: Box, window: Box) -> bool:
    """Return whether the middle of a box lies in a window."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    return window[0] <= x < window[0] + window[2] and window[1] <= y < window[1] + window[3]


OTHERS: Final = (1.2, 0.83)
"""Heights that digits held together are supposed to have, by that of the sure ones, beside that. The numbers from here
on were chosen on 40 drawn columns of `benchmarks.vision.strips`, and `LETTERS` on a form with print."""
SURE_DIGITS: Final = 3
"""Sure digits that tell it, at least."""
LEAD: Final = 2.2
SHARE: Final = 0.7
"""What `SURE` and `AGREED` are for digits that a line holds: most strips have to agree."""
APART: Final = 0.5
"""Distance down, in heights, from which on two of them are not the same."""
BESIDE: Final = 1.2
"""Distance across, in heights, up to which another digit or a letter belongs to the same number."""
SAME: Final = 0.15
"""Share of their union that a piece and such a digit have in common from which on they are the same ink."""
LETTERS: Final = 0.3
LETTERS_IN_WINDOW: Final = 0.8
"""Share of its digits' leads that the probabilities of letters in a row, and in a window, are, at most."""


def with_held(
    ink: Ink, held: Ink | None, readings: Sequence[Reading], labels: Sequence[str]
) -> tuple[list[Reading], bool]:
    """Return the readings of a page with those of digits that a line or the edge holds, and whether it saw all of it.

    `ink` is the page's, uint8 [h, w], and `held` is 1 where there may be one. The sure digits of the page tell how high
    they are.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    sure = [one.piece.box for one in readings if one.is_sure and one.piece.table is None]
    if held is None or len(sure) < SURE_DIGITS:
        return [*readings], True
    height = float(np.median([box[3] for box in sure]))
    marks, complete = _marks(ink, [height], held)
    # Most of what a line holds is no digit, and seen once.
    near, reach = np.zeros_like(held), round(height / 2)
    for x, y in np.rint(marks[marks[:, 0] >= 0, 2:4]).astype(int).tolist():
        near[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach] = 1
    again, complete_again = _marks(ink, [height * factor for factor in OTHERS], held & near)
    marks = np.concatenate([marks, again])
    letters = marks[marks[:, 0] == LETTER]
    spots = [spot for spot in _spots(marks, APART) if spot.lead >= LEAD and spot.share >= SHARE]
    boxes = [*map(_box, spots), *sure]
    standing = dict(enumerate(readings))
    places = [*(one.piece.box for one in readings), *boxes[: len(spots)]]
    by_row, tallest = Along(np.array([y + h / 2 for _, y, _, h in places])), max(h for _, _, _, h in places)
    for line in arrange(boxes):
        for number in numbers_in(line, boxes, BESIDE):
            these = [index for index in number if index < len(spots)]
            row = [spots[index] for index in these]
            if not row or len(number) == 1 or (len(row) == len(number) and {spot.digit for spot in row} == {BAR}):
                continue
            x, y, high = np.array([(spot.x, spot.y, spot.height) for spot in row]).T
            across, down = np.abs(letters[:, 2, None] - x), np.abs(letters[:, 3, None] - y)
            beside = ((across < BESIDE * high) & (down < APART * high)).any(axis=1)
            if float(letters[beside, 1].sum()) > LETTERS * sum(spot.lead for spot in row):
                continue
            for index, spot in zip(these, row, strict=True):
                near = by_row.within(boxes[index][1] + boxes[index][3] / 2, tallest).tolist()
                there = [one for one in near if one in standing and overlap(places[one], boxes[index]) > SAME]
                if all(standing[one].confidence < DOUBTFUL for one in there):
                    for one in there:
                        del standing[one]
                    standing[len(readings) + index] = _reading(ink, spot, labels)
    return [*standing.values()], complete and complete_again


SEEN: Final = 0.95
"""Probability of the digits that strips see, at least, where pieces do not say the same."""
FEW_SURE: Final = 0.2
"""Share of the readings of a page that are sure digits, at least, where strips alone may see one elsewhere."""


def with_seen(ink: Ink, readings: Sequence[Reading], labels: Sequence[str], join_gap: float) -> list[Reading]:
    """Return the readings of a page; beside a digit that strips see, or alone, doubtful ones become what they see.

    `ink` is the page's, uint8 [h, w], and `join_gap` is that of numbers.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    by_place: dict[tuple[int, int], list[Reading]] = {}
    for reading in readings:
        by_place.setdefault(reading.piece.place, []).append(reading)
    rows: list[list[Reading]] = []
    for some in by_place.values():
        boxes = [one.piece.box for one in some]
        numbers = [number for line in arrange(boxes) for number in numbers_in(line, boxes, join_gap)]
        rows += [[some[index] for index in number] for number in numbers]
    # 0 is doubtful, 1 a sure stroke, 2 another sure digit.
    told = [{(one.confidence >= DOUBTFUL) * (1 + (one.label != BAR)) for one in row} for row in rows]
    # Amid words, what strips alone see is a letter.
    alone = sum(one.is_sure for one in readings) >= FEW_SURE * len(readings)
    is_asked = [len(kinds) > 1 or (alone and kinds == {0}) for kinds in told]
    asked = [*compress(rows, is_asked)]
    result = [one for row, is_one in zip(rows, is_asked, strict=True) if not is_one for one in row]
    seen = signs_of([[one.piece.box for one in row] for row in asked], ink)
    for row, every in zip(asked, seen, strict=True):
        marks = [mark for mark in every if mark.probability >= 1 / 2]
        flags = [_is_sure(one, marks) for one in row]
        sure = [one for one, is_sure in zip(row, flags, strict=True) if is_sure]
        # A stroke speaks only where no other digit is sure.
        speaking = [one for one in sure if one.label != BAR] or sure
        agreed = not sure or any(is_seen(one, marks, labels) for one in speaking)
        free = [mark for mark in marks if not any(mark.is_on(one.piece.box) for one in sure)]
        low = TALL * median(np.array([one.piece.box[3] for one in row]))
        for is_sure, pairs in groupby(zip(flags, row, strict=True), itemgetter(0)):
            run = [one for _, one in pairs]
            result += run if is_sure or not agreed else _as_seen(run, free, low, labels, ink)
    return result


def is_seen(reading: Reading, marks: Sequence[Mark], labels: Sequence[str]) -> bool:
    """Return whether strips see the digit that this was read as."""
    return any(mark.text == labels[reading.label] and mark.is_on(reading.piece.box) for mark in marks)


def _is_sure(reading: Reading, marks: Sequence[Mark]) -> bool:
    """Return whether a reading needs no strips; where they see nothing, a one is part of a digit."""
    is_there = reading.label != BAR or any(mark.is_on(reading.piece.box) for mark in marks)
    return reading.piece.opened or (is_there and reading.confidence >= DOUBTFUL)


def _as_seen(
    run: Sequence[Reading], marks: Sequence[Mark], low: float, labels: Sequence[str], ink: Ink
) -> list[Reading]:
    """Return neighbours as the digits of the marks there, or as they are where these are other things, or unsure.

    Where nothing is seen, what is lower than `low` is part of a digit.
    """
    x, y, w, h = around([one.piece.box for one in run])
    there = [mark for mark in marks if x - ON_DIGIT * h <= mark.x <= x + w + ON_DIGIT * h]
    digits = [mark for mark in there if mark.text in labels]
    if len(run) == len(there) == len(digits) == 1 and digits[0].text == labels[run[0].label]:
        # Two that say the same are wrong only where both are.
        return [replace(run[0], confidence=1 - (1 - run[0].confidence) * (1 - digits[0].probability))]
    if not there:
        return [one for one in run if one.piece.box[3] >= low]
    # What is as high as a digit and not seen, or may be another sign, is not left out unmarked.
    unseen = any(
        tall >= low and all(abs(mark.x - left - wide / 2) > wide / 2 + ON_DIGIT * h for mark in there)
        for left, _, wide, tall in (one.piece.box for one in run)
    )
    known = [mark for mark in surely(there, h) if mark.text in KEPT_SIGNS]
    known += [mark for mark in digits if mark.probability >= SEEN]
    if not digits or unseen or len(known) < len(there):
        return [*run]
    ends = [x, *(round((one.x + other.x) / 2) for one, other in pairwise(there)), x + w]
    result: list[Reading] = []
    for mark, (start, stop) in zip(there, pairwise(ends), strict=True):
        if mark in digits:
            left = min(max(start, x), x + w - 1)
            wide = max(1, min(stop, x + w) - left)
            piece = replace(run[0].piece, box=(left, y, wide, h), ink=ink[y : y + h, left : left + wide])
            label, other = labels.index(mark.text), labels.index(str(mark.runner_up))
            result.append(Reading(piece, label, mark.probability, runner_up=other))
    return result


def _box(spot: _Spot) -> Box:
    wide, high = DIGIT_WIDTH * spot.height, spot.height
    return max(0, round(spot.x - wide / 2)), max(0, round(spot.y - high / 2)), round(wide), round(high)


def _reading(light: Grey, spot: _Spot, labels: Sequence[str]) -> Reading:
    left, top, wide, high = _box(spot)
    cut = light[top : top + high, left : left + wide]
    label, other = (labels.index(str(digit)) for digit in (spot.digit, spot.runner_up))
    piece = Piece((left, top, cut.shape[1], cut.shape[0]), cut, opened=True)
    return Reading(piece, label, spot.share if spot.sure else 0.0, runner_up=other)


MOST: Final = 200_000
"""Pixels of strips, across, that are read at most: half a second. A form with much print takes 90,000."""
NO_DIGIT: Final = -1
LETTER: Final = -2
"""Classes of marks, beside digits."""


def _marks(ink: Grey, heights: Sequence[float] | Floats, where: Ink | None = None) -> tuple[Floats, bool]:
    """Return what strips see, float64 [N, 6], and whether that is all and not `MOST` of it.

    The columns are class, probability, middle, height of its digits, and runner-up. They look where `where`, uint8
    [h, w], is above 0.
    """
    strips, places, seen = [], [], 0.0
    for height in heights:
        rows, step = round(HEIGHT * height / DIGIT), max(1, round(STEP * height / DIGIT))
        edge = max(step, -(-(rows - len(ink)) // 2))
        padded = np.pad(ink, ((edge, edge), (step, step)), mode="edge")
        full = np.pad(np.ones_like(ink) if where is None else where, ((edge, edge), (step, step)))
        for top in range(0, len(padded) - rows + 1, step):
            for left, right in _runs(np.asarray(full[top + step : top + rows - step].any(axis=0)), rows):
                seen += (right - left) * DIGIT / height
                if seen <= MOST:
                    strips.append(padded[top : top + rows, left:right])
                    places.append((left - step, top + rows / 2 - edge, height))
    marks = [
        (_class_of(mark.text), mark.probability, mark.x + left, y, height, mark.runner_up)
        for found, (left, y, height) in zip(read_strips(strips, [place[2] for place in places]), places, strict=True)
        for mark in found if mark.probability >= 1 / 2
    ]  # fmt: skip
    return np.array(marks, dtype=np.float64).reshape(-1, 6), seen <= MOST


def _class_of(text: str) -> int:
    return int(text) if text.isdigit() else LETTER if text == "other" else NO_DIGIT


def _runs(columns: Bools, room: int) -> Iterator[tuple[int, int]]:
    """Give the first and the last of columns, bool [w], that are filled one after another, with room beside them."""
    filled = np.flatnonzero(columns)
    if filled.size:
        ends = [0, *(np.flatnonzero(np.diff(filled) > 2 * room) + 1).tolist(), len(filled)]
        for start, stop in pairwise(ends):
            yield max(0, int(filled[start]) - room), int(filled[stop - 1]) + room


def _spots(marks: Floats, apart: float = np.inf) -> list[_Spot]:
    """Return the digits that most marks around them agree on, the surest of those in one another's place.

    Those that are `apart`, in heights, one below the other, are not.
    """
    kinds, probabilities, x, y, heights, others = marks.T
    spots: list[_Spot] = []
    across = Along(x)
    for index in np.flatnonzero(kinds >= 0):
        near = across.within(x[index], NEAR * heights[index])
        near = near[np.hypot(x[near] - x[index], (y[near] - y[index]) / FLAT) < NEAR * heights[index]]
        same = near[kinds[near] == kinds[index]]
        ours, every = float(probabilities[same].sum()), float(probabilities[near].sum())
        at_x, at_y, height = (marks[same, 2:5] * probabilities[same, None] / ours).sum(axis=0).tolist()
        other = int(np.bincount(others[same].astype(int), probabilities[same]).argmax())
        spots.append(_Spot(int(kinds[index]), 2 * ours - every, ours / every, at_x, at_y, height, other))
    ordered = sorted((spot for spot in spots if spot.lead >= SURE / 2), key=lambda spot: -spot.lead)
    chosen: list[_Spot] = []
    # Of those that are chosen: their middle and height.
    places = np.empty((len(ordered), 3))
    for spot in ordered:
        left, top, high = places[: len(chosen)].T
        if not ((np.abs(spot.x - left) <= NEAR * high) & (np.abs(spot.y - top) <= apart * high)).any():
            places[len(chosen)] = spot.x, spot.y, spot.height
            chosen.append(spot)
    return chosen
