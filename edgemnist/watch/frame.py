"""What every source gives, and what it has in common with the others."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from PIL import Image

from edgemnist.images.decode import open_image
from edgemnist.images.grey import Grey
from edgemnist.progress import Reporter


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a source."""

    picture: Grey | Image.Image
    """uint8 [h, w] grey levels, or a picture from a file."""
    arrived: float
    """Seconds since the epoch."""
    source: str
    index: int
    """From 0; frames that were dropped count."""
    position: float | None = None
    """Seconds from the start of a video file."""
    dropped: int = 0
    """Frames since the one before that were not handed on, because they came too fast."""


class Source(ABC):
    """Where frames come from."""

    connected: bool
    """Whether a frame has to do with the one before it: one scene, seen again."""

    @abstractmethod
    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give frames until the source ends or `stop` is set, which ends it within a second.

        Raises SourceError where the source cannot be read, or was away for too long.
        """


class PictureSource(Source):
    """A picture file: it is believed at once, since there is no other frame to agree with it."""

    connected = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the picture. Raises ImageError where it cannot be read."""
        del stop, reporter
        yield Frame(picture=open_image(self._path), arrived=time.time(), source=str(self._path), index=0)
