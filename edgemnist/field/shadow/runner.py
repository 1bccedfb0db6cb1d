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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edgemnist.board.agent.store import Store
from edgemnist.errors import EdgemnistError, UsageError
from edgemnist.field.samples import DISAGREEMENT
from edgemnist.field.shadow import ShadowTally, read_tally, write_tally
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.exports import Exports

if TYPE_CHECKING:
    from edgemnist.field.samples.collector import Collector
    from edgemnist.model.answers import Answer
    from edgemnist.model.runtimes.interface import Classifier

BUDGET: Final = 0.05
"""Share of one processor that the shadow may take, on average."""
BURST_S: Final = 0.25
"""Of the processor that it may take at once, after it has taken none for a while."""
LOOK_S: Final = 2.0
"""Between two looks at which release is in the shadow."""
SAVE_S: Final = 10.0
WAITING: Final = 64
STOP_S: Final = 10.0
DELAY_S: Final = 0.05
"""What comes in meanwhile is answered at once, while the interpreter is idle."""


@dataclass(frozen=True)
class _Loaded:
    release: str
    classifier: Classifier


class Shadow(contextlib.AbstractContextManager["Shadow"]):
    """Compares answers with those of the release in the shadow; as a context manager, which writes the counts.

    `observe` may be called from several threads.
    """

    def __init__(
        self,
        exports: Path,
        collector: Collector,
        directory: Path,
        *,
        artifact: str | None = None,
        budget: float = BUDGET,
        reporter: Reporter = SILENT,
    ) -> None:
        """`exports` is the export directory of the release that serves; `directory` is that of the collector.

        `artifact` is what the service was told to answer with, `NAME[@RUNTIME]`; None for the best of each release.
        """
        self._exports = exports.resolve()
        release = self._exports.parent
        self._store, self._release = Store(release.parents[1]), release.name
        self._collector, self._directory, self._reporter = collector, directory, reporter
        self._artifact = artifact
        self._allowance = _Allowance(budget)
        self._waiting: queue.Queue[Answer | None] = queue.Queue(WAITING)
        self._loaded: _Loaded | None = None
        self._failed = ""
        self._tally: ShadowTally | None = None
        self._skipped, self._lock = 0, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def observe(self, answers: Sequence[Answer]) -> None:
        """Have images that were answered answered in the shadow, too, if there is one and it has time."""
        for one in answers if self._loaded is not None else ():
            if one.label is None:
                continue
            try:
                self._waiting.put_nowait(replace(one, image=one.image.copy()))
            except queue.Full:
                with self._lock:
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

    def _taken(self) -> tuple[list[Answer], bool]:
        """Return what waits, once something does or it is time to look, and whether more may come."""
        asked: list[Answer] = []
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
            serving = Exports.open(self._exports)
            if not exports.task.input.takes_the_same(serving.task.input):
                raise UsageError(
                    f"its models take {exports.task.input.words()}, and those that serve {serving.task.input.words()}"
                )
            tally = read_tally(self._directory)
            about = (name, self._release, self._artifact)
            if tally is None or (tally.release, tally.beside, tally.artifact) != about:
                tally = ShadowTally(release=name, beside=self._release, artifact=self._artifact)
            self._tally = tally
            self._loaded = _Loaded(name, exports.load(self._artifact))
        except EdgemnistError as error:
            self._failed = name
            self._reporter.notice(f"Release {name} does not answer in the shadow: {error.message}.")

    def _compare(self, asked: list[Answer]) -> None:
        loaded, tally = self._loaded, self._tally
        if loaded is None or tally is None:
            return
        with self._lock:
            skipped, self._skipped = self._skipped, 0
        if not self._allowance.has_some():
            self._tally = msgspec.structs.replace(tally, skipped=tally.skipped + skipped + len(asked))
            return
        started = time.thread_time()
        rows = loaded.classifier.predict_proba(np.stack([one.image for one in asked]))
        answers = [loaded.classifier.labels[int(row)] for row in rows.argmax(axis=1)]
        differing = [one for one, answer in zip(asked, answers, strict=True) if answer != one.label]
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
                one.image,
                source=one.source,
                answer=one.label,
                confidence=one.confidence,
                reason=DISAGREEMENT,
                again=True,
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
