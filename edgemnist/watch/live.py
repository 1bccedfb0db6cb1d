"""Sources that go on whether or not anybody looks: cameras and streams. Frames that come too fast are dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Condition, Event, Thread
from typing import Final, Protocol

from edgemnist.errors import SourceError
from edgemnist.images.grey import Grey
from edgemnist.progress import Reporter
from edgemnist.watch.frame import Frame, Source

FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 8.0
"""A source that is away is tried again after a pause that doubles each time."""
LOOK_S: Final = 0.25
"""How often a reader that waits for a frame looks whether to stop."""


class Grabber(Protocol):
    """An open camera or stream."""

    def read(self) -> Grey | None:
        """Return the next frame, uint8 [h, w], as soon as it is there; None where the source has gone away."""

    def close(self) -> None:
        """Let go of it."""


class LiveSource(Source):
    """Grabs in a thread of its own, and hands on the latest frame only."""

    connected = True

    def __init__(self, name: str, grab: Callable[[], Grabber | None], *, give_up_s: float) -> None:
        """`grab` opens the source, and returns None where that is impossible now."""
        self._name = name
        self._grab = grab
        self._give_up_s = give_up_s

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the latest frame whenever the one before is done with."""
        slot = _Slot(self._name)
        closing = Event()
        thread = Thread(target=self._pump, args=(slot, stop, closing, reporter), daemon=True, name="grabber")
        thread.start()
        try:
            while not stop.is_set():
                frame = slot.take(LOOK_S)
                if frame is not None:
                    yield frame
                elif not thread.is_alive():
                    raise SourceError(
                        f"{self._name} has given no picture for {self._give_up_s:g} seconds",
                        hint="Check that it is plugged in, switched on and not in use by another program.",
                    )
        finally:
            closing.set()
            # A driver that hangs is left behind: the thread is a daemon.
            thread.join(1)

    def _pump(self, slot: _Slot, stop: Event, closing: Event, reporter: Reporter) -> None:
        last_seen, delay, told = time.monotonic(), FIRST_DELAY_S, False
        while not (stop.is_set() or closing.is_set()):
            grabber = self._grab()
            seen = False
            if grabber is not None:
                try:
                    while not (stop.is_set() or closing.is_set()) and (picture := grabber.read()) is not None:
                        if told:
                            reporter.notice(f"{self._name} is back.")
                        seen, told, delay, last_seen = True, False, FIRST_DELAY_S, time.monotonic()
                        slot.put(picture)
                finally:
                    grabber.close()
            if time.monotonic() - last_seen >= self._give_up_s:
                return
            if not seen and not told:
                told = True
                reporter.notice(f"{self._name} gives no picture; it is tried again.")
            closing.wait(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)


class _Slot:
    """Holds one frame: a newer one takes its place."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._filled = Condition()
        self._frame: Frame | None = None
        self._index = 0
        self._dropped = 0

    def put(self, picture: Grey) -> None:
        with self._filled:
            self._dropped += self._frame is not None
            self._frame = Frame(
                picture=picture, arrived=time.time(), source=self._name, index=self._index, dropped=self._dropped
            )
            self._index += 1
            self._filled.notify()

    def take(self, timeout: float) -> Frame | None:
        with self._filled:
            if self._frame is None:
                self._filled.wait(timeout)
            frame, self._frame = self._frame, None
            if frame is not None:
                self._dropped = 0
            return frame
