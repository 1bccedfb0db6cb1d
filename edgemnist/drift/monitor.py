"""Counts a model's answers without delaying them: it takes notes in microseconds, and a thread counts and writes.

As with samples, nothing that goes wrong here reaches an answer: one notice, and nothing is counted from then on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.drift import Record, Window, bins_of, count, ink_of, read_record
from edgemnist.drift.evidence import Detector
from edgemnist.errors import EdgemnistError, StorageError, UsageError, reason_of
from edgemnist.progress import SILENT, Reporter
from edgemnist.samples import DOUBT_BELOW, now
from edgemnist.storage import write_file

if TYPE_CHECKING:
    from edgemnist.arrays import Images
    from edgemnist.exports import Exports
    from edgemnist.exports.models import Model
    from edgemnist.runtimes.interface import Classifier

WAITING: Final = 1024
"""Images that may wait to be counted: any beyond that are not counted."""
BATCH: Final = 64
"""Images that are counted at a time."""
DELAY_S: Final = 0.05
SAVE_S: Final = 30.0
"""Time between two writes of the file: a card wears out."""
STOP_S: Final = 10.0
FIRST_S: Final = 7 * 86_400.0
"""The first week, which later answers are compared with."""
LEAST_FIRST: Final = 500
"""Images that it has to have; it lasts longer otherwise."""
BLOCK: Final = 500
"""Images of a block: `health` looks at the latest two."""
BEFORE: Final = "health-before.json"
"""Counts of the model that answered before."""


def no_counts(model: Model, classifier: Classifier, exports: Exports | None, release: str | None) -> Record:
    """Return the record of a model that has answered nothing but its golden pack, if it has one: that is done here."""
    labels = list(classifier.labels)
    nothing = Window.empty(len(labels))
    record = Record(
        artifact=model.name,
        sha256=model.sha256,
        release=release,
        labels=labels,
        first=nothing,
        before=nothing,
        lately=nothing,
        evidence={},
    )
    if exports is None or exports.manifest.golden is None:
        return record
    pack = exports.read_golden()
    probabilities = classifier.predict_proba(pack.images)
    answers = probabilities.argmax(axis=1).astype(np.int64)
    golden = count(pack.images, probabilities.max(axis=1).astype(np.float64), answers, len(labels))
    return msgspec.structs.replace(record, golden=golden, golden_errors=int((answers != pack.labels).sum()))


class _Seen(NamedTuple):
    image: Images
    confidence: float
    answer: int
    at: str


class Tally:
    """The counts of one model, image by image."""

    def __init__(self, record: Record) -> None:
        """Continue with a record."""
        self._record = record
        self._detector = self._detect()

    @property
    def record(self) -> Record:
        """What has been counted so far."""
        return msgspec.structs.replace(self._record, evidence=self._detector.evidence())

    def add(self, images: Images, confidences: Sequence[float], answers: Sequence[int], at: str) -> None:
        """Count images, uint8 [N, 28, 28], in their order; `answers` are classes, -1 for a refusal."""
        record = self._record
        confidence, answer = np.asarray(confidences, np.float64), np.asarray(answers, np.int64)
        some = count(images, confidence, answer, len(record.labels), at)
        for bins, sure, one in zip(bins_of(ink_of(images)), confidence, answer, strict=True):
            self._detector.see(bins, doubtful=bool(one >= 0 and sure < DOUBT_BELOW), refused=bool(one < 0))
        before, lately = record.before, record.lately
        if lately.images >= BLOCK:
            before, lately = lately, Window.empty(len(record.labels))
        changed = msgspec.structs.replace(record, before=before, lately=lately + some)
        if not record.first_complete:
            first = record.first + some
            seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(first.since)).total_seconds()
            complete = first.images >= LEAST_FIRST and seconds >= FIRST_S
            changed = msgspec.structs.replace(changed, first=first, first_complete=complete)
        self._record = changed
        if changed.first_complete and not record.first_complete:
            self._record = self.record
            self._detector = self._detect()

    def _detect(self) -> Detector:
        record = self._record
        return Detector(record.golden, record.first if record.first_complete else None, record.evidence)


class Monitor(AbstractContextManager["Monitor"]):
    """Counts answers into a file; as a context manager, which writes what has been counted.

    It never raises because of the file. `see` may be called from several threads.
    """

    def __init__(
        self, path: Path, fresh: Callable[[], Record], *, patient: bool = False, reporter: Reporter = SILENT
    ) -> None:
        """`fresh` gives `no_counts`, in the thread: the golden pack takes a moment. A `patient` one loses nothing."""
        self._path, self._fresh, self._patient, self._reporter = path, fresh, patient, reporter
        self._waiting: queue.Queue[_Seen | None] = queue.Queue(WAITING)
        self._tally: Tally | None = None
        self.counts = True
        """Whether answers are still counted."""
        self._thread = threading.Thread(target=self._work, name="health", daemon=True)
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def record(self) -> Record | None:
        """What has been counted so far; None before anything was."""
        tally = self._tally
        return None if tally is None else tally.record

    def see(self, images: Images, confidences: Sequence[float], answers: Sequence[int]) -> None:
        """Count images, uint8 [N, 28, 28]; `answers` are classes, -1 for a refusal."""
        if not self.counts:
            return
        at = now()
        for image, confidence, answer in zip(images, confidences, answers, strict=True):
            try:
                self._waiting.put(_Seen(image.copy(), float(confidence), int(answer), at), block=self._patient)
            except queue.Full:
                return

    def close(self) -> None:
        """Count what is waiting, and write."""
        self._waiting.put(None)
        self._thread.join(STOP_S)
        self.counts = False

    def _work(self) -> None:
        try:
            self._tally = tally = self._open()
            saved, changed, going = time.monotonic(), False, True
            while going:
                some, going = self._taken()
                if some:
                    images = np.stack([one.image for one in some])
                    tally.add(images, [one.confidence for one in some], [one.answer for one in some], some[-1].at)
                    changed = True
                if changed and (not going or time.monotonic() - saved >= SAVE_S):
                    write_file(self._path, tally.record.encode())
                    saved, changed = time.monotonic(), False
        except EdgemnistError as error:
            self.counts = False
            self._reporter.notice(f"Answers are not counted from now on: {error.message}.")
            # Whoever waits for room is let go.
            while self._waiting.get() is not None:
                pass

    def _taken(self) -> tuple[list[_Seen], bool]:
        """Return the waiting images, once there are any or it is time to write, and whether more may come."""
        some: list[_Seen] = []
        try:
            one = self._waiting.get(timeout=SAVE_S)
            if one is not None and not self._patient:
                # The interpreter is busy with the answers to these very images.
                time.sleep(DELAY_S)
            while one is not None and len(some) < BATCH - 1:
                some.append(one)
                one = self._waiting.get_nowait()
        except queue.Empty:
            return some, True
        return ([*some, one], True) if one is not None else (some, False)

    def _open(self) -> Tally:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self._path.parent} cannot be created: {reason_of(error)}") from error
        fresh = self._fresh()
        try:
            record = read_record(self._path)
        except UsageError:
            return Tally(fresh)
        if record.sha256 == fresh.sha256 and record.labels == fresh.labels:
            return Tally(msgspec.structs.replace(record, release=fresh.release))
        aside = self._path.with_name(BEFORE)
        write_file(aside, record.encode())
        self._reporter.notice(
            f"{self._path} has counts of another model, {record.artifact}. They are kept as {aside}, and counting "
            "starts from zero."
        )
        return Tally(fresh)
