"""A directory into which pictures fall, from a scanner or a camera."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from edgemnist.errors import ImageError, SourceError
from edgemnist.images.decode import SUFFIXES, open_image
from edgemnist.progress import Reporter
from edgemnist.watch.frame import Frame, Source

Stamp = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""


class DirectorySource(Source):
    """Every picture once, those that are there first, and again when it changes."""

    connected = False

    def __init__(self, path: Path, *, poll_s: float, give_up_s: float, once: bool) -> None:
        self._path = path
        self._poll_s = poll_s
        self._give_up_s = give_up_s
        self._once = once

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the pictures, oldest first. One that cannot be read is named in a notice, and passed over.

        A directory that goes away, as one in the network does, is waited for; what was read is not read again when it
        is back.
        """
        known: dict[str, Stamp] = {}
        """What each file was like when it was read."""
        before: dict[str, Stamp] = {}
        index = 0
        while not stop.is_set():
            present = self._wait_for_pictures(stop, reporter)
            known = {name: stamp for name, stamp in known.items() if name in present}
            for name, stamp in sorted(present.items(), key=lambda entry: (entry[1][1], entry[0])):
                # A file that is still growing is not a picture yet.
                if stop.is_set() or known.get(name) == stamp or not (self._once or before.get(name) == stamp):
                    continue
                known[name] = stamp
                path = self._path / name
                try:
                    picture = open_image(path)
                except ImageError as error:
                    reporter.notice(f"{error.message}.")
                    continue
                yield Frame(picture=picture, arrived=time.time(), source=str(path), index=index)
                index += 1
            if self._once:
                return
            before = present
            stop.wait(self._poll_s)

    def _wait_for_pictures(self, stop: Event, reporter: Reporter) -> dict[str, Stamp]:
        """Return the pictures of the directory as soon as it is there: at once, unless it has gone away."""
        away_since: float | None = None
        while not stop.is_set():
            try:
                found = self._pictures()
            except OSError as error:
                reason = error.strerror or error
                if self._once:
                    raise SourceError(f"{self._path} cannot be watched: {reason}") from error
                if away_since is None:
                    away_since = time.monotonic()
                    reporter.notice(f"{self._path} cannot be watched: {reason}; it is tried again.")
                if time.monotonic() - away_since >= self._give_up_s:
                    raise SourceError(
                        f"{self._path} could not be watched for {self._give_up_s:g} seconds: {reason}",
                        hint="Check that it is still mounted, and that you may read it.",
                    ) from error
                stop.wait(self._poll_s)
                continue
            if away_since is not None:
                reporter.notice(f"{self._path} is back.")
            return found
        return {}

    def _pictures(self) -> dict[str, Stamp]:
        """Return the pictures of the directory; hidden files are somebody's temporary ones.

        Raises OSError where the directory cannot be read.
        """
        found: dict[str, Stamp] = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                    continue
                try:
                    if entry.is_file():
                        state = entry.stat()
                        found[entry.name] = state.st_size, state.st_mtime_ns
                except OSError:
                    # It was removed a moment ago, or is a link to itself.
                    continue
        return found
