"""Keeps samples worth a look without delaying answers: it decides in microseconds, and another thread writes.

Nothing that goes wrong here reaches the answer. A disk that is full or read-only, a store that is damaged or of a newer
version: one notice, and what comes is tried all the same, until one more notice says that samples are kept again.
"""

from __future__ import annotations

import enum
import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from edgemnist.errors import EdgemnistError, UsageError
from edgemnist.field.samples import (
    CORRECTION,
    DISAGREEMENT,
    DOUBT_BELOW,
    DOUBTFUL,
    REFUSED,
    UNIFORM,
    Label,
    Sample,
    kind_of,
    now,
)
from edgemnist.field.samples.store import MovedError, Quota, SampleStore, is_drawn
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.task import default_input

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images
    from edgemnist.model.answers import Answer, Answering

WAITING: Final = 64
"""Samples that may wait for the disk: more at once are not kept."""
STOP_S: Final = 10.0
"""Time to wait for the disk when the collector is closed."""
RETRY_S: Final = 1.0
"""Time between two attempts to open a store that cannot be opened: each reads the whole file."""
_BY_DAY: Final = (DOUBTFUL, REFUSED)
"""Reasons that a day has a quota for."""
_Place: TypeAlias = tuple[str, str | None]
"""A day, and an answer on it; None for all of the day."""


class Kept(enum.Enum):
    """What became of a correction."""

    STORED = enum.auto()
    SPENT = enum.auto()
    """The store has all the unconfirmed corrections that it may have, and no other writer has more of them."""
    UNUSABLE = enum.auto()
    """The store cannot be written."""
    BUSY = enum.auto()
    """Too much is waiting for the disk."""


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Where samples are kept, and how many."""

    directory: Path
    quota: Quota = field(default_factory=Quota)

    def observer(self, answering: Answering) -> Collector:
        """Return what keeps samples of a model's answers."""
        return Collector(
            self.directory,
            quota=self.quota,
            artifact=answering.model.name,
            release=answering.release,
            spec=answering.classifier.spec,
            labels=answering.classifier.labels,
            patient=answering.waits,
            reporter=answering.reporter,
        )


def observing(directory: Path | None, most: int | None) -> CollectConfig | None:
    """Return what `--collect` and `--collect-max` ask for; None without them.

    Raises UsageError for a limit that is too low, or that comes without `--collect`.
    """
    if directory is None:
        if most is not None:
            raise UsageError("--collect-max needs --collect", hint="Name a directory with --collect DIR.")
        return None
    return CollectConfig(directory=directory, quota=Quota() if most is None else Quota(most))


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
        spec: InputSpec | None = None,
        labels: Sequence[str] = (),
        patient: bool = False,
        reporter: Reporter = SILENT,
    ) -> None:
        """`artifact` and `release` are what answers, `spec` what it reads, by default the default task's.

        `labels` are its classes.
        A `patient` one waits for the disk, for answers to a batch of pictures; any other drops what comes too fast.
        """
        self._directory, self._artifact, self._release = directory, artifact, release
        self._spec, self._labels = spec or default_input(), labels
        self._patient, self._reporter = patient, reporter
        self._quota = quota or Quota()
        self._uniform = self._quota.of(UNIFORM)
        self._lock = threading.Lock()
        self._waiting: queue.Queue[tuple[Sample, Future[Kept]] | None] = queue.Queue(WAITING)
        self._store: SampleStore | None = None
        self._failure: EdgemnistError | None = None
        self._missed, self._again = 0, 0.0
        self._seen = 0
        self._filled = Counter[_Place]()
        try:
            self._opened()
        except EdgemnistError as error:
            self._fail(error)
        self._writer = threading.Thread(target=self._write, name="samples", daemon=True)
        self._writer.start()

    @property
    def keeps(self) -> bool:
        """Whether samples can be kept, as far as the last one showed."""
        return self._failure is None

    def __exit__(self, *exception: object) -> None:
        self.close()

    def offer(
        self, image: Images, *, source: str, answer: str | None, confidence: float, disputed: bool = False
    ) -> str | None:
        """Keep what the model was given if it is worth it, and return the reason; None if it is not kept.

        `answer` is None if the model refused. It is `disputed` if another model answers otherwise.
        """
        reason = REFUSED if answer is None else DOUBTFUL if confidence < DOUBT_BELOW else None
        reason = DISAGREEMENT if disputed else reason
        with self._lock:
            self._seen += 1
            if is_drawn(self._seen, self._uniform):
                reason = UNIFORM
            if reason is None:
                return None
            at = now()
            if reason in _BY_DAY:
                places = self._places(at[:10], answer)
                if any(self._filled[place] >= most for place, most in places.items()):
                    return None
                self._filled.update(places.keys())
        kept = self._put(image, at, reason, source=source, answer=answer, confidence=confidence)
        return reason if kept is not None and self.keeps else None

    def observe(self, answers: Sequence[Answer]) -> None:
        """Keep those of some answers that are worth it."""
        for one in answers:
            # There is nothing to see on a black picture; numbers may all be 0.
            if not self._spec.is_picture or one.image.any():
                self.offer(
                    one.image,
                    source=one.source,
                    answer=one.label,
                    confidence=one.confidence,
                    disputed=one.disputed,
                )

    def correct(
        self, image: Images, label: str, *, writer: str, source: str, answer: str | None, confidence: float
    ) -> Future[Kept]:
        """Keep what the model was given with the label that somebody gave; return what became of it, once it has."""
        at = now()
        given = (Label(label, writer, at, settles=False),)
        kept = self._put(image, at, CORRECTION, source=source, answer=answer, confidence=confidence, labels=given)
        if kept is None:
            kept = Future()
            kept.set_result(Kept.BUSY)
        return kept

    def close(self) -> None:
        """Write what is waiting, and close the store."""
        self._waiting.put(None)
        self._writer.join(STOP_S)

    def _places(self, day: str, answer: str | None) -> dict[_Place, int]:
        """Return the quotas that a doubtful sample takes a place of: of its day, and of its answer on it."""
        places: dict[_Place, int] = {(day, None): self._quota.day}
        if answer is not None:
            places[day, answer] = self._quota.day_and_class
        return places

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
    ) -> Future[Kept] | None:
        # Of numbers, 0 and -0 are the same to a model.
        numbers = image if image.dtype == np.uint8 else (image + 0.0).astype("<f4")
        sample = Sample(
            pixels=numbers.tobytes(),
            **kind_of(self._spec),
            at=at,
            source=source,
            artifact=self._artifact,
            release=self._release,
            answer=answer,
            confidence=confidence if 0 <= confidence <= 1 else 0.0,
            reason=reason,
            rows=labels,
        )
        stored: Future[Kept] = Future()
        try:
            self._waiting.put((sample, stored), block=self._patient)
        except queue.Full:
            self._miss(sample, failed=not self.keeps)
            return None
        return stored

    def _write(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            sample, stored = waiting
            # Whoever no longer waits has been told that it is not kept.
            if stored.set_running_or_notify_cancel():
                stored.set_result(self._keep(sample))
        if self._missed:
            self._reporter.notice(f"{_were(self._missed)} not kept.")
        try:
            self._shut()
        except EdgemnistError as error:
            self._fail(error)

    def _keep(self, sample: Sample) -> Kept:
        try:
            try:
                number = self._add(sample)
            except MovedError as error:
                self._reporter.notice(f"{error.message}; a new store is begun there.")
                # SQLite would take the log of a new store for that of the old one.
                self._shut()
                number = self._add(sample)
        except EdgemnistError as error:
            self._fail(error)
            self._miss(sample)
            return Kept.UNUSABLE
        return Kept.SPENT if number is None else Kept.STORED

    def _add(self, sample: Sample) -> int | None:
        store, failing = self._opened(), not self.keeps
        # What nobody could keep is no part of what the even draw is made from.
        seen = None if failing else self._seen
        number = store.add(sample, most=self._quota.of(sample.reason), seen=seen)
        if failing:
            self._count(store)
            self._reporter.notice(f"Samples are kept again; {_were(self._missed)} not kept.")
            self._failure, self._missed = None, 0
        return number

    def _opened(self) -> SampleStore:
        """Return the store, open; raises EdgemnistError if it cannot be opened."""
        if self._store is None:
            if self._failure is not None and time.monotonic() < self._again:
                raise self._failure
            self._again = time.monotonic() + RETRY_S
            self._store = SampleStore.open(self._directory, create=True, spec=self._spec, labels=self._labels)
            self._count(self._store)
        return self._store

    def _count(self, store: SampleStore) -> None:
        """Go on from what is in the store."""
        kept, seen = store.days(), store.seen()
        with self._lock:
            self._filled = Counter(place for day, answer in kept for place in self._places(day, answer))
            self._seen = seen

    def _shut(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            store.close()

    def _miss(self, sample: Sample, *, failed: bool = True) -> None:
        with self._lock:
            self._missed += failed
            if sample.reason in _BY_DAY:
                self._filled.subtract(self._places(sample.at[:10], sample.answer).keys())

    def _fail(self, error: EdgemnistError) -> None:
        if self._failure is None:
            self._reporter.notice(f"No samples are kept at the moment: {error.message}.")
        self._failure = error


def _were(number: int) -> str:
    return f"{count(number, 'sample')} {'was' if number == 1 else 'were'}"
