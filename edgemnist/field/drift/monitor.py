"""Counts a model's answers without delaying them: it takes notes in microseconds, and a thread counts and writes.

As with samples, nothing that goes wrong here reaches an answer: one notice, and nothing is counted from then on.
"""

from __future__ import annotations

import contextlib
import glob
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edgemnist.errors import EdgemnistError, StorageError, UsageError, reason_of
from edgemnist.field.drift import Record, Window, bins_in, count, read_record
from edgemnist.field.drift.evidence import Detector, alarmed
from edgemnist.field.samples import DOUBT_BELOW, now
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.storage import write_file
from edgemnist.model.answers import health_file
from edgemnist.model.task import default_input, task_of

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Images
    from edgemnist.model.answers import Answer, Answering
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.models import Model
    from edgemnist.model.runtimes.interface import Classifier

WAITING: Final = 1024
"""Images that may wait to be counted: of any beyond that only the number is."""
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


def no_counts(model: Model, classifier: Classifier, exports: Exports | None, release: str | None) -> Record:
    """Return the record of a model that has answered nothing but its golden pack, if it has one: that is done here."""
    labels, task = list(classifier.labels), task_of(classifier)
    with_ink = task.is_usual and task.input.takes_the_same(default_input())
    nothing = Window.empty(len(labels), with_ink=with_ink)
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
    if pack.truth is None:
        return record
    probabilities = classifier.predict_proba(pack.images)
    answers = probabilities.argmax(axis=1).astype(np.int64)
    confidences = probabilities.max(axis=1).astype(np.float64)
    golden = count(pack.images, confidences, answers, len(labels), with_ink=with_ink)
    errors = int((answers != pack.truth).sum())
    told = msgspec.UNSET if with_ink else exports.manifest.golden.sha256
    return msgspec.structs.replace(record, golden=golden, golden_errors=errors, pack=told)


class Tally:
    """The counts of one model, image by image."""

    def __init__(self, record: Record) -> None:
        """Continue with a record."""
        self._record = record
        self._detector = self._detect()
        self._alarmed = bool(alarmed(record.evidence))

    @property
    def record(self) -> Record:
        """What has been counted so far."""
        return msgspec.structs.replace(self._record, evidence=self._detector.evidence())

    def add(self, images: Images, confidences: Sequence[float], answers: Sequence[int], at: str) -> None:
        """Count images, [N, ...], in their order; `answers` are classes, -1 for a refusal."""
        record = self._record
        confidence, answer = np.asarray(confidences, np.float64), np.asarray(answers, np.int64)
        some = count(images, confidence, answer, len(record.labels), at, with_ink=record.with_ink)
        for bins, sure, one in zip(bins_in(images, with_ink=record.with_ink), confidence, answer, strict=True):
            self._detector.see(bins, doubtful=bool(one >= 0 and sure < DOUBT_BELOW), refused=bool(one < 0))
        before, lately, missed = record.before, record.lately, record.missed
        if lately.images >= BLOCK:
            before, lately, missed = lately, self._empty(), [missed[1], 0]
        was, self._alarmed = self._alarmed, bool(alarmed(self._detector.evidence()))
        late = lately + some
        if self._alarmed and not was:
            # What comes from now on says how bad it is.
            before = late = self._empty()
            missed = [0, 0]
        uncounted = missed if any(missed) else msgspec.UNSET
        changed = msgspec.structs.replace(record, before=before, lately=late, uncounted=uncounted)
        if not record.first_complete:
            first = record.first + some
            seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(first.since)).total_seconds()
            complete = first.images >= LEAST_FIRST and seconds >= FIRST_S
            changed = msgspec.structs.replace(changed, first=first, first_complete=complete)
        self._record = changed
        if changed.first_complete and not record.first_complete:
            self._record = self.record
            self._detector = self._detect()

    def miss(self, images: int) -> None:
        """Note that this many images could not be counted."""
        before, lately = self._record.missed
        self._record = msgspec.structs.replace(self._record, uncounted=[before, lately + images])

    def _empty(self) -> Window:
        return Window.empty(len(self._record.labels), with_ink=self._record.with_ink)

    def _detect(self) -> Detector:
        record = self._record
        return Detector(record.golden, record.first if record.first_complete else None, record.evidence)


@dataclass(frozen=True)
class CountConfig:
    """Where answers are counted."""

    file: Path

    def observer(self, answering: Answering) -> Monitor:
        """Return what counts the answers of a model."""
        model, classifier, exports = answering.model, answering.classifier, answering.exports
        return Monitor(
            self.file, lambda: no_counts(model, classifier, exports, answering.release), reporter=answering.reporter
        )


def observing(collect: Path | None, health: Path | None) -> CountConfig | None:
    """Return what `--health`, or else `--collect`, asks for; None without either."""
    file = health_file(collect, health)
    return None if file is None else CountConfig(file)


class Monitor(AbstractContextManager["Monitor"]):
    """Counts answers into a file; as a context manager, which writes what has been counted.

    It never raises because of the file. `observe` may be called from several threads.
    """

    def __init__(
        self, path: Path, fresh: Callable[[], Record], *, patient: bool = False, reporter: Reporter = SILENT
    ) -> None:
        """`fresh` gives `no_counts`, in the thread: the golden pack takes a moment. A `patient` one loses nothing."""
        self._path, self._fresh, self._patient, self._reporter = path, fresh, patient, reporter
        self._waiting: queue.Queue[tuple[Answer, str] | None] = queue.Queue(WAITING)
        self._tally: Tally | None = None
        self._missed, self._lock = 0, threading.Lock()
        self._full = False
        """Whether the counts could not be written the last time."""
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

    def observe(self, answers: Sequence[Answer]) -> None:
        """Count some answers, by the probability of the model alone, as on the golden pack."""
        at, usual = now(), default_input().shape
        for number, answer in enumerate(answers if self.counts else ()):
            # Nothing but ink is seen on an image, and those of other shapes may be large.
            image = answer.image.copy() if answer.image.shape == usual else np.empty(0, np.uint8)
            try:
                self._waiting.put((replace(answer, image=image), at), block=self._patient)
            except queue.Full:
                with self._lock:
                    self._missed += len(answers) - number
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
            alarms: list[str] | None = None
            while going:
                if alarms != (alarms := alarmed(tally.record.evidence)):
                    self._reporter.alarm(alarms)
                some, going = self._taken()
                with self._lock:
                    missed, self._missed = self._missed, 0
                if missed:
                    tally.miss(missed)
                    changed = True
                if some:
                    answers = [answer for answer, _ in some]
                    images = np.stack([answer.image for answer in answers])
                    confidences, classes = [one.probability for one in answers], [one.index for one in answers]
                    tally.add(images, confidences, classes, at=some[-1][1])
                    changed = True
                if changed and (not going or time.monotonic() - saved >= SAVE_S):
                    saved, changed = time.monotonic(), not self._saved(tally.record)
        except EdgemnistError as error:
            self.counts = False
            self._reporter.alarm(None)
            self._reporter.notice(f"Answers are not counted from now on: {error.message}.")
            # Whoever waits for room is let go.
            while self._waiting.get() is not None:
                pass

    def _saved(self, record: Record) -> bool:
        """Write the counts, and return whether that was possible. If not, they are kept, and written with the next."""
        try:
            write_file(self._path, record.encode())
        except StorageError as error:
            if not self._full:
                self._reporter.notice(f"Counts are kept in memory until they can be written: {error.message}.")
            self._full = True
            return False
        if self._full:
            self._reporter.notice("Counts are written again.")
        self._full = False
        return True

    def _taken(self) -> tuple[list[tuple[Answer, str]], bool]:
        """Return what waits, and since when, once there is any or it is time to write, and whether more may come."""
        some: list[tuple[Answer, str]] = []
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
            # Whoever deletes the file wants a new first week.
            return Tally(fresh)
        if _same_model(record, fresh):
            return Tally(msgspec.structs.replace(record, release=fresh.release))
        aside = self._path.with_name(f"{self._path.stem}-{record.sha256[:12]}{self._path.suffix}")
        write_file(aside, record.encode())
        earlier = self._earlier(fresh)
        self._reporter.notice(
            f"{self._path} has counts of another model, {record.artifact}. They are kept as {aside}, and counting "
            + ("starts from zero." if earlier is None else "goes on from what this model had counted before.")
        )
        # At once: what that file has is kept aside.
        write_file(self._path, (earlier or fresh).encode())
        return Tally(earlier or fresh)

    def _earlier(self, fresh: Record) -> Record | None:
        """Return what the same model had counted before another one answered; None if it had not.

        Each model has a file of its own beside the one that is counted into, so that neither a deployment nor
        a rollback costs a first week.
        """
        found = []
        for path in self._path.parent.glob(f"{glob.escape(self._path.stem)}-*{glob.escape(self._path.suffix)}"):
            with contextlib.suppress(UsageError, StorageError):
                found.append(read_record(path))
        same = [one for one in found if _same_model(one, fresh)]
        # Version 0.1.0 kept the counts of whichever model came before in one file, which may still be there.
        newest = max(same, key=lambda one: one.lately.until, default=None)
        # The samples of a release have its name, and an earlier version may be the next to read the file.
        resumed = now() if fresh.release is None else msgspec.UNSET
        return None if newest is None else msgspec.structs.replace(newest, release=fresh.release, resumed=resumed)


def _same_model(one: Record, other: Record) -> bool:
    return one.sha256 == other.sha256 and one.labels == other.labels
