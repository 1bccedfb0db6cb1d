"""What is around a reading: a digit that looks odd counts among sure ones, and a sure one among letters does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.read.grid import Bools
from edgemnist.read.recognize import Reading
from edgemnist.results.pictures import Box

SURE: Final = 0.8
"""Confidence from which a reading speaks for those around it."""
LEAST_SURE: Final = 3
"""So many sure digits make a row of digits, or a table of them."""
MOST: Final = 0.5
"""They are at least this share of all that is there and as high as they are."""
AMONG_SURE: Final = 0.25
"""Among sure digits, one counts from this share of the threshold on."""
NEARLY_ALL: Final = 0.85
CERTAIN: Final = 0.9
AMONG_ALL: Final = 0.1
"""Where nearly all count, this share of it is enough for a digit that the classifier is certain of."""
ALIKE: Final = (0.6, 1.6)
"""If it is as high as they are, within these factors."""
WORD: Final = 2
MOSTLY: Final = 0.5
"""Pieces of a word that are no digits: with so many, and less confidence than this in the mean, the others are none."""
NO_DIGIT: Final = 0.02
"""What is less likely to be a digit is a letter."""
ROUND_OR_STRAIGHT: Final = (0, 1)
"""Digits that letters look like."""
SURE_BAR: Final = 0.96
"""A bar among what is no digit counts from this confidence on: ticks, tallies and scraps of lines are bars."""
PATTERN: Final = 12
MANY: Final = 100
"""So many digits, all the same and of a height, are a pattern, and so many are one at any height."""
LEAST_SPEAKING: Final = 0.25
"""Share of so many digits that are surely digits. In photographs that are blurred or reduced it is 0.4 and more."""
UNEVEN: Final = 0.25
"""What is all the same digit, and differs in height by this share (a standard deviation), was drawn and not written."""
BARS: Final = 6
ALL_BARS: Final = 0.8
"""Share of a line."""
SLENDER: Final = 0.3
EVEN: Final = 0.05
"""So many pieces that are this slender, and differ in height and place by this share of it at most, are bars."""
SOFT: Final = 2
"""Pixels of a box, across and down, that are the soft edges of its ink."""
LOWEST_BAR: Final = 14
"""Pixels. Ones in tables of photographs that are half as large have 17 and more."""
STRIPES: Final = 4
STRIPE: Final = 0.1
"""So many bars of this slenderness, and hardly anything else on a page, are no ones: a pen is a tenth of a digit."""
TEXT: Final = 100
MOSTLY_TEXT: Final = 0.7
"""So many letters, and this share of all pieces, make a page of print. Up to a quarter of print looks like ones."""
SMALL: Final = 0.45
"""What is too low to be read is a small letter from this share of the usual height on. An x has 0.63 of an l's."""
WORD_GAP: Final = 0.4
WORD_OVERLAP: Final = 0.5
"""Letters of a word are at most this far apart, against their height, a space being half of it, and share this much of
the lower one's height."""
NEAREST: Final = 12
TALL: Final = 0.75
"""Quantile of the heights of so many letters around a digit that is the height of its print."""
AS_TALL: Final = 0.8
"""Digits are printed at least this high against that; an o is not, and no comma."""
SPECK: Final = 0.5
LOW: Final = 0.75
"""In a table of digits, what is no digit, has less than this share of the ink of a usual one, and of its height, is a
speck."""


def answered(readings: Sequence[Reading], min_confidence: float) -> Bools:
    """Tell which readings of a line, or of a table, count as digits: bool [N]."""
    confidences = np.array([reading.confidence for reading in readings])
    heights = np.array([reading.piece.box[3] for reading in readings])
    sure = confidences >= max(SURE, min_confidence)
    counts: Bools = confidences >= min_confidence
    if sure.sum() < LEAST_SURE:
        return counts
    alike = heights / np.median(heights[sure])
    fits = (alike >= ALIKE[0]) & (alike <= ALIKE[1])
    if sure.sum() < MOST * (fits | counts).sum():
        return counts
    enough = confidences >= AMONG_SURE * min_confidence
    if counts.sum() >= NEARLY_ALL * (fits | counts).sum():
        certain = np.array([reading.probability for reading in readings]) >= CERTAIN
        enough |= (confidences >= AMONG_ALL * min_confidence) & certain
    counts |= enough & fits
    return counts


def is_word(readings: Sequence[Reading], counts: Bools) -> bool:
    """Tell a word from a number, by its pieces and which of them count as digits, bool [N].

    Most of a word are no digits. If what counts are zeros and ones only, a single sure letter is enough in a short one:
    o and l are what letters are.
    """
    confidences = np.array([reading.confidence for reading in readings])
    others = int((~counts).sum())
    if others >= WORD and confidences.mean() < MOSTLY:
        return True
    like_letters = all(reading.label in ROUND_OR_STRAIGHT for reading, one in zip(readings, counts, strict=True) if one)
    return 2 * others >= len(counts) and like_letters and bool((confidences < NO_DIGIT).any())


def has_letters(readings: Sequence[Reading]) -> bool:
    """Tell letters among the pieces of what may be a number, where no digit speaks for its line.

    Every o is a 0, and an n may be split into a 1 and a 7.
    """
    return sum(reading.confidence < NO_DIGIT for reading in readings) >= WORD


def speaks(reading: Reading) -> bool:
    """Tell what is surely a digit, though most of a page is none: a bare stroke has to be surer than a shape."""
    return reading.confidence >= (SURE_BAR if is_bar(reading) else SURE)


def are_stripes(readings: Sequence[Reading]) -> bool:
    """Tell moiré, and long lines on an otherwise empty page, from ones."""
    stripes = sum(is_bar(reading, STRIPE) for reading in readings)
    return stripes >= max(STRIPES, NEARLY_ALL * len(readings))


def is_pattern(readings: Sequence[Reading]) -> bool:
    """Tell what is printed, woven or drawn all over a page from digits: one shape, many times, and nothing else.

    Whoever fills a page with the same digit writes it a little larger here than there, but not twice as large.
    """
    if len(readings) < PATTERN:
        return False
    same = np.bincount([reading.label for reading in readings]).max() / len(readings)
    heights = np.array([reading.piece.box[3] for reading in readings], dtype=float)
    spread = heights.std() / heights.mean()
    if same < 1:
        return bool(same >= NEARLY_ALL and spread >= UNEVEN)
    return not EVEN < spread < UNEVEN or len(readings) >= MANY


def are_doubtful(readings: Sequence[Reading]) -> bool:
    """Tell arrows, or the dots of a printed picture, from digits: of many, some look a little like one, and few do."""
    return len(readings) >= PATTERN and sum(map(speaks, readings)) < LEAST_SPEAKING * len(readings)


def is_bar(reading: Reading, slender: float = SLENDER) -> bool:
    """Tell a bare stroke."""
    width, height = reading.piece.box[2:]
    return width - SOFT <= slender * (height - SOFT)


def is_scrap(reading: Reading) -> bool:
    """Tell a bar that is too low for a one, where small digits count: what is left between the dots of a picture."""
    return is_bar(reading) and reading.piece.box[3] < LOWEST_BAR


def is_barcode(readings: Sequence[Reading]) -> bool:
    """Tell a line of bars that were ruled, all from one line to another, from ones: nobody writes them so even."""
    bars = [reading for reading in readings if is_bar(reading)]
    if len(bars) < max(BARS, ALL_BARS * len(readings)):
        return False
    x, top, _, height = np.array([reading.piece.box for reading in bars], dtype=float).T
    slope, level = np.polyfit(x, top, 1)
    off = top - (slope * x + level)
    return bool(np.ptp(height) <= EVEN * height.mean() and np.ptp(off) <= EVEN * height.mean())


def in_print(readings: Sequence[Reading], counts: Bools, others: Sequence[Box]) -> Bools:
    """Tell which readings that count as digits, bool [N], stand in a word of a page of print, or are as low as letters.

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
    """Tell which of what counts stands in a word with a letter: an h may fall into a 1 and a 7, and an l is a 1."""
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
    """Tell which of what counts is lower than the tall ones of the nearest letters."""
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
    """Tell which readings of a table are neither digits nor as large: what was left of a line, stains, dots."""
    found: Bools = np.zeros(len(readings), dtype=bool)
    if counts.sum() >= LEAST_SURE:
        ink = np.array([np.count_nonzero(reading.piece.ink) for reading in readings])
        heights = np.array([reading.piece.box[3] for reading in readings])
        # A one has little ink, and is as high as the others.
        small = (ink < SPECK * np.median(ink[counts])) & (heights < LOW * np.median(heights[counts]))
        found = ~counts & small
    return found
