"""What stands in a dark field: the digits of a display or of a counter, by strips that slide over it.

A digit is seen by several strips, of other heights and a few rows further down, and counts where they agree.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.read.grid import Floats
from edgemnist.digits.read.layout import DIGIT_WIDTH, overlap
from edgemnist.digits.read.piece import Piece
from edgemnist.digits.read.recognize import BAR, Reading
from edgemnist.digits.read.strips import DIGIT, HEIGHT, read_strips
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


class _Spot(NamedTuple):
    digit: int
    lead: float
    """Sum of the probabilities that say so, less those of what says something else there."""
    share: float
    x: float
    y: float
    height: float

    @property
    def sure(self) -> bool:
        return self.lead >= SURE and self.share >= AGREED


def with_opened(
    grey: Grey, windows: Sequence[Box], readings: Sequence[Reading], labels: Sequence[str]
) -> list[Reading]:
    """Return the readings of a page, uint8 [h, w], with those of its windows in place of what was read there.

    Raises ArtifactError if the network is missing, damaged, or not the recorded one.
    """
    result = [*readings]
    for x, y, w, h in windows:
        inside = grey[y : y + h, x : x + w]
        seen = [_marks(ink) for ink in (255 - inside, inside)]
        ways = [
            _spots(marks[np.isin(marks[:, 4], h * np.array(HEIGHTS[first : first + TOGETHER]))])
            for first in range(len(HEIGHTS) - TOGETHER + 1) for marks in seen
        ]  # fmt: skip
        worth = [sum(spot.lead * (2 * spot.share - 1) for spot in spots) for spots in ways]
        spots = next(spots for spots, value in zip(ways, worth, strict=True) if value >= NEARLY * max(worth))
        sure = [spot.digit for spot in spots if spot.sure]
        # Bars alone are its edges.
        if len(spots) < SPOTS or len(sure) < FEWEST or {*sure} == {BAR}:
            continue
        result = [one for one in result if not overlap(one.piece.box, (x, y, w, h))]
        for spot in spots:
            left, top = max(0, round(x + spot.x - DIGIT_WIDTH / 2 * spot.height)), round(y + spot.y - spot.height / 2)
            ink = grey[top : top + round(spot.height), left : left + round(DIGIT_WIDTH * spot.height)]
            piece = Piece((left, top, ink.shape[1], ink.shape[0]), ink, opened=True)
            result.append(Reading(piece, labels.index(str(spot.digit)), spot.share if spot.sure else 0.0))
    return result


def _marks(ink: Grey) -> Floats:
    """Return what strips see, float64 [N, 5]: class, probability, middle, and height of its digits."""
    strips, places = [], []
    for height in (len(ink) * factor for factor in HEIGHTS):
        rows, step = round(HEIGHT * height / DIGIT), max(1, round(STEP * height / DIGIT))
        edge = max(step, -(-(rows - len(ink)) // 2))
        padded = np.pad(ink, ((edge, edge), (step, step)), mode="edge")
        for top in range(0, len(padded) - rows + 1, step):
            strips.append(padded[top : top + rows])
            places.append((step, top + rows / 2 - edge, height))
    marks = [
        (int(mark.text) if mark.text.isdigit() else -1, mark.probability, mark.x - step, y, height)
        for found, (step, y, height) in zip(read_strips(strips, [place[2] for place in places]), places, strict=True)
        for mark in found if mark.probability >= 1 / 2
    ]  # fmt: skip
    return np.array(marks, dtype=np.float64).reshape(-1, 5)


def _spots(marks: Floats) -> list[_Spot]:
    """Return the digits that most marks around them agree on, the surest of those in one another's place."""
    kinds, probabilities, x, y, heights = marks.T
    spots: list[_Spot] = []
    for index in np.flatnonzero(kinds >= 0):
        near = np.hypot(x - x[index], (y - y[index]) / FLAT) < NEAR * heights[index]
        same = near & (kinds == kinds[index])
        ours, every = float(probabilities[same].sum()), float(probabilities[near].sum())
        middle = (marks[same, 2:] * probabilities[same, None] / ours).sum(axis=0)
        spots.append(_Spot(int(kinds[index]), 2 * ours - every, ours / every, *middle.tolist()))
    chosen: list[_Spot] = []
    for spot in sorted(spots, key=lambda spot: -spot.lead):
        if spot.lead >= SURE / 2 and all(abs(spot.x - other.x) > NEAR * other.height for other in chosen):
            chosen.append(spot)
    return chosen
