"""Bring a bundle to a board, test it there, switch to it, and go back if it fails.

`edgemnist.agent` is the part that runs on the board, before edgemnist is installed there: standard library only. It is
sent as one file and makes every change that must be complete or not happen; this side connects, transfers and reports.

A thread works on each board of a fleet, and one thread may ask another to stop.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

_LISTEN_S = 0.2
_Result = TypeVar("_Result")


class Stop:
    """Asks the work on one board to end as soon as it safely can.

    The work says with `by` what ends it at the moment: cutting the line, or asking the board.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._ways: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        """Return whether the work is to end."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask the work to end, in the way that is right at the moment."""
        self._end(slice(-1, None))

    def insist(self) -> None:
        """End the waiting at once, whatever becomes of the work."""
        self._end(slice(1))

    def _end(self, which: slice) -> None:
        with self._lock:
            self._asked.set()
            ways = self._ways[which]
        for way in ways:
            way()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the work is to end; return whether it is."""
        return self._asked.wait(seconds)

    @contextlib.contextmanager
    def by(self, way: Callable[[], None]) -> Iterator[None]:
        """Let `way` end what happens in the body; it is called from another thread, or at once where asked before."""
        with self._lock:
            self._ways.append(way)
            asked = self.asked
        try:
            if asked:
                way()
            yield
        finally:
            with self._lock:
                self._ways.remove(way)


def in_parallel(most: int, work: Callable[..., _Result], *arguments: Sequence[Any]) -> list[_Result]:
    """Call `work` for each of the arguments, `most` at the same time; return the results in their order."""
    with ThreadPoolExecutor(max_workers=most) as pool:
        running = [pool.submit(work, *each) for each in zip(*arguments, strict=True)]
        # A signal that comes just before a wait begins is handled after that wait.
        while wait(running, _LISTEN_S).not_done:
            pass
        return [future.result() for future in running]


@contextlib.contextmanager
def on_ctrl_c(*ways: Callable[[], None]) -> Iterator[None]:
    """Let each Ctrl-C call the next of some functions, the last one again and again, instead of raising in the body.

    Only where Python's own handler is there: a command that runs in the background may be told to ignore it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    coming = itertools.chain(ways, itertools.repeat(ways[-1]))
    signal.signal(signal.SIGINT, lambda *_: next(coming)())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
