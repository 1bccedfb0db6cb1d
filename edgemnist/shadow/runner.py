"""Asks the release in the shadow beside the answering, a few images at a time, in a thread of its own.

The thread has no niceness: if it had, it would be kept from the processor while it holds the interpreter.

It loads the model of that release, not its code: what a release of another edgemnist does with it, its self-test has
shown. Nothing that goes wrong here reaches an answer.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.agent.store import Store
from edgemnist.errors import EdgemnistError
from edgemnist.exports import Exports
from edgemnist.progress import SILENT, Reporter
from edgemnist.samples import DISAGREEMENT
from edgemnist.shadow import ShadowTally, read_tally, write_tally

if TYPE_CHECKING:
    from edgemnist.arrays import Images
    from edgemnist.runtimes.interface import Classifier
    from edgemnist.samples.collector import Collector

BUDGET: Final = 0.05
"""Share of one processor that the shadow may take, in the mean."""
BURST_S: Final = 0.25
"""Of the processor that it may take at once, after it has taken none for a while."""
LOOK_S: Final = 2.0
"""Between two looks at which release is in the shadow."""
SAVE_S: Final = 10.0
WAITING: Final = 64
STOP_S: Final = 10.0
DELAY_S: Final = 0.05
"""What comes in meanwhile is answered at once, while the interpreter is idle."""


class _Asked(NamedTuple):
    image: Images
    answer: str
    confidence: float
    source: str


@dataclass(frozen=True)
class _Loaded:
    release: str
    classifier: Classifier


class Shadow(contextlib.AbstractContextManager["Shadow"]):
    """Compares answers with those of the release in the shadow; as a context manager, which writes the counts.

    `offer` may be called from several threads.
    """

    def __init__(
        self,
        exports: Path,
        collector: Collector,
        directory: Path,
        *,
        budget: float = BUDGET,
        reporter: Reporter = SILENT,
    ) -> None:
        """`exports` is the export directory of the release that serves; `directory` is that of the collector."""
        release = exports.resolve().parent
        self._store, self._release = Store(release.parents[1]), release.name
        self._collector, self._directory, self._reporter = collector, directory, reporter
        self._allowance = _Allowance(budget)
        self._waiting: queue.Queue[_Asked | None] = queue.Queue(WAITING)
        self._loaded: _Loaded | None = None
        self._failed = ""
        self._tally: ShadowTally | None = None
        self._skipped = 0
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def offer(self, image: Images, *, answer: str, confidence: float, source: str) -> None:
        """Have an image, uint8 [28, 28], answered in the shadow, too, if there is one and it has time."""
        if self._loaded is None:
            return
        try:
            self._waiting.put_nowait(_Asked(image.copy(), answer, confidence, source))
        except queue.Full:
            self._skipped += 1

    def close(self) -> None:
        """Answer what is waiting, and write the counts."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=STOP_S)
        self._thread.join(STOP_S)

    def _work(self) -> None:
        looked, saved, written, going = -LOOK_S, time.monotonic(), self._tally, True
        while going:
            if time.monotonic() - looked >= LOOK_S:
                self._look()
                looked = time.monotonic()
            asked, going = self._taken()
            if asked:
                self._compare(asked)
            if self._tally is not written and (not going or time.monotonic() - saved >= SAVE_S):
                self._save()
                written, saved = self._tally, time.monotonic()

    def _taken(self) -> tuple[list[_Asked], bool]:
        """Return what waits, once something does or it is time to look, and whether more may come."""
        asked: list[_Asked] = []
        try:
            one = self._waiting.get(timeout=LOOK_S)
            if one is not None:
                # The interpreter is busy with the answers to these very requests.
                time.sleep(DELAY_S)
            while one is not None:
                asked.append(one)
                one = self._waiting.get_nowait()
        except queue.Empty:
            return asked, True
        return asked, False

    def _look(self) -> None:
        """Load what is in the shadow now."""
        try:
            shadow = self._store.shadow()
        except OSError:
            shadow = None
        name = "" if shadow is None or shadow.name == self._release else shadow.name
        if name == (self._loaded.release if self._loaded is not None else self._failed):
            return
        self._loaded, self._failed = None, ""
        if not name or shadow is None:
            return
        try:
            exports = Exports.open(shadow.path / "exports")
            tally = read_tally(self._directory)
            if tally is None or (tally.release, tally.beside) != (name, self._release):
                tally = ShadowTally(release=name, beside=self._release)
            self._tally = tally
            self._loaded = _Loaded(name, exports.load())
        except EdgemnistError as error:
            self._failed = name
            self._reporter.notice(f"Release {name} does not answer in the shadow: {error.message}.")

    def _compare(self, asked: list[_Asked]) -> None:
        loaded, tally = self._loaded, self._tally
        if loaded is None or tally is None:
            return
        skipped, self._skipped = self._skipped, 0
        if not self._allowance.has_some():
            self._tally = msgspec.structs.replace(tally, skipped=tally.skipped + skipped + len(asked))
            return
        started = time.thread_time()
        rows = loaded.classifier.predict_proba(np.stack([one.image for one in asked]))
        answers = [loaded.classifier.labels[int(row)] for row in rows.argmax(axis=1)]
        differing = [one for one, answer in zip(asked, answers, strict=True) if answer != one.answer]
        took = time.thread_time() - started
        self._allowance.take(took)
        self._tally = msgspec.structs.replace(
            tally,
            compared=tally.compared + len(asked),
            differing=tally.differing + len(differing),
            skipped=tally.skipped + skipped,
            cpu_s=tally.cpu_s + took,
        )
        for one in differing:
            self._collector.offer(
                one.image, source=one.source, answer=one.answer, confidence=one.confidence, reason=DISAGREEMENT
            )

    def _save(self) -> None:
        if self._tally is None:
            return
        try:
            write_tally(self._directory, self._tally)
        except EdgemnistError as error:
            self._loaded, self._failed = None, self._tally.release
            self._reporter.notice(f"Nothing is answered in the shadow from now on: {error.message}.")


class _Allowance:
    """Processor time that may still be taken: a bucket that fills at `share` seconds a second."""

    def __init__(self, share: float) -> None:
        self._share, self._left, self._at = share, BURST_S, time.monotonic()

    def has_some(self) -> bool:
        """Return whether any is left."""
        now = time.monotonic()
        self._left = min(BURST_S, self._left + self._share * (now - self._at))
        self._at = now
        return self._left > 0

    def take(self, seconds: float) -> None:
        """Take some; what is taken too much is waited for."""
        self._left -= seconds
