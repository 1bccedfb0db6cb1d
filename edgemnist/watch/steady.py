"""What several frames agree on: hands shake, light flickers, and a number does not change thirty times a second."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgemnist.read.results import Box, ReadNumber
from edgemnist.watch.results import WatchNumber

SAME_PLACE: Final = 0.3
"""A number is the one of the frame before where their boxes share this much of their union."""


@dataclass
class _Track:
    """One number, followed from frame to frame."""

    sightings: deque[ReadNumber | None]
    """The latest frames; None where it was not seen."""
    box: Box = (0, 0, 0, 0)
    line: int = 0
    rank: int = 0
    """Its place in the reading order of the latest frame that showed it."""


class Steadier:
    """Takes the readings of frames in turn, and tells what is certain by now."""

    def __init__(self, agreeing: int) -> None:
        self._agreeing = agreeing
        self._window = 2 * agreeing - 1
        self._tracks: list[_Track] = []

    def add(self, numbers: Sequence[ReadNumber]) -> list[WatchNumber]:
        """Add what one frame shows, and return the numbers that enough of the latest frames agree on."""
        free = list(self._tracks)
        for rank, number in enumerate(numbers):
            track = max(free, key=lambda one: _overlap(one.box, number.box), default=None)
            if track is None or _overlap(track.box, number.box) < SAME_PLACE:
                track = _Track(deque(maxlen=self._window))
                self._tracks.append(track)
            else:
                free.remove(track)
            track.sightings.append(number)
            track.box, track.line, track.rank = number.box, number.line, rank
        for track in free:
            track.sightings.append(None)
        self._tracks = [track for track in self._tracks if any(track.sightings)]
        steady = [(track, answer) for track in self._tracks if (answer := self._answer(track)) is not None]
        steady.sort(key=lambda entry: (entry[0].line, entry[0].rank))
        return [
            WatchNumber(text=text, confidence=confidence, line=track.line, box=track.box)
            for track, (text, confidence) in steady
        ]

    def _answer(self, track: _Track) -> tuple[str, float] | None:
        votes: dict[str, list[float]] = defaultdict(list)
        for sighting in track.sightings:
            if sighting is not None:
                votes[sighting.text].append(sighting.confidence)
        text = max(votes, key=lambda one: (len(votes[one]), sum(votes[one])))
        if len(votes[text]) < self._agreeing:
            return None
        return text, sum(votes[text]) / len(votes[text])


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes by their union."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (one[2] * one[3] + other[2] * other[3] - width * height)
