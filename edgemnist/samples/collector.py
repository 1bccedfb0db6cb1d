"""Keeps samples worth a look without delaying answers: it decides in microseconds, and another thread writes.

Nothing that goes wrong here reaches the answer. A disk that is full or read-only, a store that is damaged or of a newer
version: one notice, and nothing is kept from then on.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgemnist.errors import EdgemnistError
from edgemnist.progress import SILENT, Reporter
from edgemnist.samples import CORRECTION, DOUBT_BELOW, DOUBTFUL, REFUSED, UNIFORM, Label, Sample, now
from edgemnist.samples.quota import Filled, Quota, Reservoir
from edgemnist.samples.store import SampleStore

if TYPE_CHECKING:
    from edgemnist.arrays import Images

WAITING: Final = 64
"""Samples that may wait for the disk: more at once are not kept."""
SEEN: Final = "seen"
"""Name of the count of all answers that the even draw was made from."""
STOP_S: Final = 10.0
"""Time to wait for the disk when the collector is closed."""


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Where samples are kept, and how many."""

    directory: Path
    quota: Quota = field(default_factory=Quota)

    def open(
        self, *, artifact: str, release: str | None, patient: bool = False, reporter: Reporter = SILENT
    ) -> Collector:
        """Return a collector for the answers of an artifact, of a release if it belongs to one."""
        return Collector(
            self.directory, quota=self.quota, artifact=artifact, release=release, patient=patient, reporter=reporter
        )


class Collector(AbstractContextManager["Collector"]):
    """Keeps samples in the store of a directory; as a context manager, which writes what is waiting.

    It never raises because of the store. `offer` and `correct` may be called from several threads.
    """

    def __init__(
        self,
        directory: Path,
        *,
        quota: Quota | None = None,
        artifact: str,
        release: str | None = None,
        patient: bool = False,
        reporter: Reporter = SILENT,
    ) -> None:
        """`artifact` and `release` are what answers.

        A `patient` one waits for the disk, for answers to a batch of pictures; any other drops what comes too fast.
        """
        self._patient = patient
        self._artifact, self._release, self._reporter = artifact, release, reporter
        self._quota = quota or Quota()
        self._lock = threading.Lock()
        self._waiting: queue.Queue[tuple[Sample, Future[bool]] | None] = queue.Queue(WAITING)
        self._store: SampleStore | None = None
        self._told = False
        self.keeps = False
        """Whether samples are still kept."""
        samples: list[Sample] = []
        seen = 0
        try:
            self._store = SampleStore.open(directory, create=True)
            samples, seen = self._store.samples(), self._store.get_count(SEEN)
            self.keeps = True
        except EdgemnistError as error:
            self._stop(error)
        self._filled = Filled(self._quota, samples)
        self._reservoir = Reservoir(self._quota.uniform, seen)
        self._writer = threading.Thread(target=self._write, name="samples", daemon=True)
        self._writer.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def offer(
        self, image: Images, *, source: str, answer: str | None, confidence: float, reason: str | None = None
    ) -> str | None:
        """Keep an image, uint8 [28, 28], if it is worth it, and return the reason; None if it is not kept.

        `reason` is the caller's, such as a disagreement; None for doubt, or for none. `answer` is None if the model
        refused.
        """
        if not self.keeps:
            return None
        if reason is None:
            reason = REFUSED if answer is None else DOUBTFUL if confidence < DOUBT_BELOW else None
        with self._lock:
            drawn = self._reservoir.take()
            if drawn:
                reason = UNIFORM
            elif reason is None:
                return None
            at = now()
            if not drawn and not self._filled.has_room(at[:10], answer):
                return None
            kept = self._put(image, at, reason, source=source, answer=answer, confidence=confidence)
            return None if kept is None else reason

    def correct(
        self, image: Images, label: str, *, writer: str, source: str, answer: str | None, confidence: float
    ) -> Future[bool]:
        """Keep an image, uint8 [28, 28], with the label that somebody gave; return whether it is, once it is stored.

        It is not kept if this writer's corrections have filled their quota, or labelled samples the store.
        """
        with self._lock:
            at = now()
            given = (Label(label, writer, at, settles=False),)
            if self.keeps and self._filled.has_room_for(writer):
                kept = self._put(
                    image, at, CORRECTION, source=source, answer=answer, confidence=confidence, labels=given
                )
                if kept is not None:
                    return kept
        refused: Future[bool] = Future()
        refused.set_result(False)
        return refused

    def has_room_for(self, writer: str) -> bool:
        """Return whether one more correction of a writer would be kept."""
        with self._lock:
            return self._filled.has_room_for(writer)

    def close(self) -> None:
        """Write what is waiting, and close the store."""
        self.keeps = False
        self._waiting.put(None)
        self._writer.join(STOP_S)

    def _put(
        self,
        image: Images,
        at: str,
        reason: str,
        *,
        source: str,
        answer: str | None,
        confidence: float,
        labels: tuple[Label, ...] = (),
    ) -> Future[bool] | None:
        sample = Sample(
            id=0,
            image=image.copy(),
            at=at,
            source=source,
            artifact=self._artifact,
            release=self._release,
            answer=answer,
            confidence=confidence if 0 <= confidence <= 1 else 0.0,
            reason=reason,
            labels=labels,
        )
        stored: Future[bool] = Future()
        try:
            self._waiting.put((sample, stored), block=self._patient)
        except queue.Full:
            return None
        self._filled.add(sample)
        return stored

    def _write(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            sample, stored = waiting
            # Whoever no longer waits has been told that it is not kept.
            if stored.set_running_or_notify_cancel():
                stored.set_result(self._keep(sample))
        if self._store is not None:
            try:
                self._store.close()
            except EdgemnistError as error:
                self._stop(error)

    def _keep(self, sample: Sample) -> bool:
        if self._store is None or self._told:
            return False
        most = self._quota.uniform if sample.reason == UNIFORM else self._quota.chosen
        try:
            return self._store.add(sample, most=most, counts={SEEN: self._reservoir.seen}) is not None
        except EdgemnistError as error:
            self._stop(error)
            return False

    def _stop(self, error: EdgemnistError) -> None:
        self.keeps = False
        if not self._told:
            self._told = True
            self._reporter.notice(f"No samples are kept from now on: {error.message}.")
