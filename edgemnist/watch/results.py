"""One line of `edgemnist watch`."""

from __future__ import annotations

from edgemnist.read.results import Box
from edgemnist.results import Part, Result


class WatchNumber(Part, frozen=True, kw_only=True):
    """A number that several frames agree on."""

    text: str
    """With `?` for each digit that was refused."""
    confidence: float
    """Mean of the frames that say so."""
    line: int
    """From 0, top to bottom."""
    box: Box
    """x, y, width, height in pixels of the latest frame."""


class WatchTimes(Part, frozen=True, kw_only=True):
    """Milliseconds of each stage."""

    wait: float
    """From the arrival of the frame until it was taken up."""
    find: float
    normalize: float
    classify: float
    arrange: float
    total: float
    """From the arrival of the frame to its reading."""


class WatchReading(Result, frozen=True, kw_only=True):
    """What was read in one frame, steadied by those before it."""

    timestamp: str
    """When the frame arrived: ISO 8601, UTC."""
    source: str
    """The camera, the URL or the file."""
    frame: int
    """Which frame of the source it is, from 0; frames that were dropped count."""
    position: float | None = None
    """Seconds from the start of a video file."""
    numbers: list[WatchNumber]
    """In reading order."""
    confidence: float | None
    """That of the least certain number; None where there is none."""
    dropped: int
    """Frames since the last reading that came faster than they could be read."""
    skipped: int
    """Frames since the last reading that showed nothing new."""
    milliseconds: WatchTimes
