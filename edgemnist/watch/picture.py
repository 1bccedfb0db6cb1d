"""One picture from a file, as a source that ends with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from edgemnist.images.decode import open_image
from edgemnist.progress import Reporter
from edgemnist.watch.frame import Frame, Source


class PictureSource(Source):
    """A picture file: it is believed at once, since there is no other frame to agree with it."""

    connected = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the picture. Raises ImageError where it cannot be read."""
        del stop, reporter
        yield Frame(picture=open_image(self._path), arrived=time.time(), source=str(self._path), index=0)
