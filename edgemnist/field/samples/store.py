"""The store of samples: one SQLite file, `samples.sqlite`, in a directory of its own.

SQLite, and not pictures beside JSON lines: a kept sample, the one whose place it takes and its quota are one
transaction, which a power cut leaves whole or undone; a service may write while somebody labels; and the `sqlite3`
shell, Python, R and DB Browser read it, as they read every file of the format (sqlite.org/locrsf.html). With the
write-ahead log and `synchronous=FULL` every commit is on the disk when it returns.

Labels are only ever added. The last one of each writer counts; taking one back adds a row without a label.

A sample that has a label belongs to the archive, which no quota bounds. In the even draw it keeps its place until
another one is drawn for that, and is then written into `archive` instead of deleted. Version 0.1.0 knows no such table,
opens a store that has one, and keeps to its own limits.
"""

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edgemnist.errors import SamplesError, StorageError, UsageError, check_range, reason_of, upgrade_line
from edgemnist.field.samples import (
    CORRECTION,
    DISAGREEMENT,
    DOUBTFUL,
    REASONS,
    REFUSED,
    UNIFORM,
    Label,
    Sample,
    kind_of,
    now,
)
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import default_input

DEFAULT_MAX: Final = 500
LEAST_MAX: Final = 10
SHARES: Final = {UNIFORM: 0.2, CORRECTION: 0.2, DISAGREEMENT: 0.1}
"""Shares of the limit: for the even draw; for corrections that nobody else has confirmed; and for disagreements of two
models, however doubtful the days are. The rest: doubt and refusals."""
DAY_SHARE: Final = 0.1
"""Share of the rest for one day: one bad day leaves room for nine others."""
CLASS_SHARE: Final = 0.3
"""Share of a day's quota for one class: a 1 that is always doubtful leaves room for the other classes."""


@dataclass(frozen=True)
class Quota:
    """The shares of a limit of `total` samples. Raises UsageError for a limit that is too low to be shared.

    The archive does not count: samples that have a label, but for the even draw and for corrections nobody confirmed.
    """

    total: int = DEFAULT_MAX

    def __post_init__(self) -> None:
        check_range("--collect-max", self.total, least=LEAST_MAX)

    def of(self, reason: str) -> int:
        """Return how many samples of a reason, and of those that share its quota, are kept at a time."""
        own = {kind: max(1, round(self.total * share)) for kind, share in SHARES.items()}
        return own.get(reason, self.total - sum(own.values()))

    @property
    def day(self) -> int:
        """Doubtful and refused samples of one day."""
        return max(1, round(self.of(DOUBTFUL) * DAY_SHARE))

    @property
    def day_and_class(self) -> int:
        """Of these, those of one answer."""
        return max(1, round(self.day * CLASS_SHARE))


AT_ONCE: Final = 2
"""Most samples that go for a new one: a limit that is lower than it was is reached sample by sample."""


def crowded_out(held: Sequence[tuple[int, str | None]], most: int) -> list[int]:
    """Return the ids that go for one more among `most`: the oldest of the group that has most, two if there are more.

    `held` are id and group of what is there, the oldest first.
    """
    left, gone = list(held), list[int]()
    while len(left) >= most and len(gone) < AT_ONCE:
        sizes = Counter(group for _, group in left)
        # `max` returns the first of equals: the group with the oldest sample.
        largest = max(sizes, key=sizes.__getitem__)
        oldest = next(one for one in left if one[1] == largest)
        left.remove(oldest)
        gone.append(oldest[0])
    return gone


def is_drawn(seen: int, size: int) -> bool:
    """Return whether the latest of `seen` items is kept among `size`, in a free place or in that of any other item.

    So each item of a stream is kept with the same probability, however long the stream gets (reservoir sampling,
    J. S. Vitter, "Random sampling with a reservoir", 1985, Algorithm R).
    """
    return random.random() * seen < size  # noqa: S311 - a sample, not a secret


FILE: Final = "samples.sqlite"
APPLICATION: Final = 0x65646D73
"""SQLite's `application_id`: "edms"."""
VERSION: Final = 2
"""SQLite's `user_version`, of a store of samples of another shape than the default; 1 for those of 0.1.0."""
_ABOUT, _LABELS_OF_MODEL = "about", "labels"
"""Names of the rows of `counts` that say what the samples are: shape and type, and the classes of the model."""
WAIT_S: Final = 5.0
"""Seconds to wait for another process that writes."""

_ARCHIVE: Final = """
CREATE TABLE IF NOT EXISTS archive (sample INTEGER PRIMARY KEY REFERENCES samples ON DELETE CASCADE)"""
"""Samples that no quota counts: those with labels whose place in the even draw another one has taken, and the
corrections that a store of 0.1.0 had."""
_FIELDS: Final = ("pixels", "at", "source", "artifact", "release", "answer", "confidence", "reason")
_COLUMNS: Final = ", ".join(("image", *_FIELDS[1:]))
_SAMPLES: Final = f"SELECT id, {_COLUMNS} FROM samples ORDER BY id"  # noqa: S608 - of constants
_LABELS: Final = "SELECT sample, label, writer, at, settles FROM labels ORDER BY id"

_NO_LABEL: Final = "NOT EXISTS (SELECT 1 FROM labels WHERE sample = samples.id)"
_IS_LABELLED: Final = "SELECT 1 FROM labels WHERE sample = ?"
_DRAWN: Final = "SELECT id FROM samples WHERE reason = ? AND id NOT IN (SELECT sample FROM archive) ORDER BY id"
_UNCONFIRMED: Final = """
SELECT id, (SELECT writer FROM labels WHERE sample = samples.id ORDER BY id LIMIT 1) FROM samples WHERE reason = ?
AND id NOT IN (SELECT sample FROM archive)
AND (SELECT count(DISTINCT writer) FROM labels WHERE sample = samples.id) < 2 ORDER BY id"""
_DISAGREEING: Final = f"SELECT id, answer FROM samples WHERE reason = ? AND {_NO_LABEL} ORDER BY id"  # noqa: S608 - of constants
_CHOSEN: Final = f"SELECT id, answer FROM samples WHERE reason NOT IN (?, ?, ?) AND {_NO_LABEL} ORDER BY id"  # noqa: S608 - of constants only
_OWN_QUOTAS: Final = (UNIFORM, CORRECTION, DISAGREEMENT)


class SampleStore(AbstractContextManager["SampleStore"]):
    """The samples of a directory; as a context manager, which closes it.

    Every method raises SamplesError if the file is damaged or cannot be written: the disk is full, it is read-only, or
    another process holds it for longer than `WAIT_S`. Samples stored before stay.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path = path
        self._connection = connection
        self._file = _identity(path)
        about = dict(connection.execute("SELECT name, value FROM counts WHERE name != 'seen'"))
        self.spec = msgspec.json.decode(about[_ABOUT], type=InputSpec) if _ABOUT in about else default_input()
        """What all samples are, but for the meaning of their numbers."""
        self.labels: list[str] = msgspec.json.decode(about.get(_LABELS_OF_MODEL, "[]"), type=list[str])
        """Names of the model's classes, where they are known."""

    @classmethod
    def open(
        cls, directory: Path, *, create: bool = False, spec: InputSpec | None = None, labels: Sequence[str] = ()
    ) -> "SampleStore":
        """Open the store of a directory; with `create`, make both if they are missing, for what a model reads.

        `labels` are the model's. Raises UsageError if there is none, StorageError if the directory cannot be made, and
        SamplesError if the file is not a store, has samples of other inputs than `spec`, is damaged, or was written by
        a newer edgemnist.
        """
        path = directory / FILE
        if create:
            try:
                # What people wrote is nobody else's to read. SQLite gives its log the permissions of the file.
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not path.exists():
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            except OSError as error:
                raise StorageError(
                    f"{directory} cannot be created: {reason_of(error)}",
                    hint="Choose another directory for the samples.",
                ) from error
        elif not path.exists():
            raise _empty(directory)
        with _explained(path):
            connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path, create=create, spec=spec or default_input())
                store = cls(path, connection)
                store._describe(spec, labels)
            except BaseException:
                connection.close()
                raise
        return store

    def _describe(self, spec: InputSpec | None, labels: Sequence[str]) -> None:
        """Note a model's classes. Raises SamplesError where samples are of other inputs than it reads."""
        if spec is not None and not spec.takes_the_same(self.spec):
            raise SamplesError(
                f"{self.path} has samples of {self.spec.words()}, and the model takes {spec.words()}",
                hint="Name another directory.",
            )
        if labels and list(labels) != self.labels and not self.spec.takes_the_same(default_input()):
            with self._transaction() as write:
                _note(write, _LABELS_OF_MODEL, list(labels))
            self.labels = list(labels)

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, after moving the contents of the log into it."""
        with _explained(self.path):
            self._connection.close()

    def samples(self) -> list[Sample]:
        """Return all samples with every row of their labels, in the order in which they were kept."""
        with _explained(self.path):
            rows = self._connection.execute(_LABELS).fetchall()
            samples = self._connection.execute(_SAMPLES).fetchall()
        labels: dict[int, list[Label]] = {}
        for sample, label, writer, at, settles in rows:
            labels.setdefault(sample, []).append(Label(label, writer, at, bool(settles)))
        kind = kind_of(self.spec)
        return [
            Sample(id=number, **dict(zip(_FIELDS, values, strict=True)), **kind, rows=tuple(labels.get(number, ())))
            for number, *values in samples
        ]

    def add(self, sample: Sample, *, most: int | None = None, seen: int | None = None) -> int | None:
        """Keep a sample with its labels, and return its id: in one transaction.

        `seen` is the number of answers that the even draw was made from, which is written as well. `most` limits the
        samples of its kind: the even draw, corrections that nobody else has confirmed, and, as far as they have no
        label, disagreements and all others. Once there are that many, one goes: any of the even draw, the oldest
        correction of the writer who has most, else the oldest sample of the answer that has most. A correction is not
        kept if no other writer has more than its own, and None is returned.
        """
        with self._transaction() as write:
            if most is not None and not self._make_room(sample, most):
                return None
            number = _insert_sample(write, sample)
            for label in sample.rows:
                _insert_label(write, number, label)
            if seen is not None:
                write.execute("INSERT OR REPLACE INTO counts VALUES ('seen', ?)", (seen,))
        return number

    def label(self, sample: int, label: str | None, writer: str, *, settles: bool = False) -> None:
        """Add a writer's label of a sample; None takes back their earlier one.

        Raises UsageError if the sample does not exist, or no longer does.
        """
        with self._transaction() as write:
            if write.execute("SELECT 1 FROM samples WHERE id = ?", (sample,)).fetchone() is None:
                raise UsageError(f"{self.path} has no sample {sample}")
            _insert_label(write, sample, Label(label, writer, now(), settles))

    def merge(self, samples: Sequence[Sample]) -> int:
        """Add the samples and labels of another store that are missing here, and return the number of these labels.

        Two samples are the same if their images and times are. The merge is one transaction, and repeating it changes
        nothing.
        """
        added = 0
        if odd := next((one for one in samples if not one.spec.takes_the_same(self.spec)), None):
            raise SamplesError(f"{self.path} has samples of {self.spec.words()}, and these are {odd.spec.words()}")
        with self._transaction() as write:
            for sample in samples:
                same = write.execute(
                    "SELECT id FROM samples WHERE image = ? AND at = ?", (sample.pixels, sample.at)
                ).fetchone()
                number = _insert_sample(write, sample) if same is None else int(same[0])
                if same is None and sample.rows and sample.reason == UNIFORM:
                    # Its place in the draw was taken while it was labelled elsewhere.
                    write.execute("INSERT INTO archive VALUES (?)", (number,))
                rows = write.execute("SELECT label, writer, at, settles FROM labels WHERE sample = ?", (number,))
                there = [Label(*row) for row in rows]
                for label in sample.rows:
                    if label not in there:
                        _insert_label(write, number, label)
                        added += 1
        return added

    def days(self) -> list[tuple[str, str | None]]:
        """Return day and answer of each sample that counts against the quota of its day."""
        with _explained(self.path):
            rows = "SELECT substr(at, 1, 10), answer FROM samples WHERE reason IN (?, ?)"
            return self._connection.execute(rows, (DOUBTFUL, REFUSED)).fetchall()

    def seen(self) -> int:
        """Return the number of answers that the even draw was made from, as `add` wrote it; 0 if it did not."""
        with _explained(self.path):
            row = self._connection.execute("SELECT value FROM counts WHERE name = 'seen'").fetchone()
        return 0 if row is None else int(row[0])

    def forget(self, writer: str) -> int:
        """Delete every sample that a writer corrected, and all other labels of theirs; return how many labels went.

        The pages of the file that held them are overwritten.
        """
        with self._transaction() as write:
            gone = write.execute("SELECT count(*) FROM labels WHERE writer = ?", (writer,)).fetchone()[0]
            corrected = "reason = ? AND id IN (SELECT sample FROM labels WHERE writer = ?)"
            write.execute(f"DELETE FROM samples WHERE {corrected}", (CORRECTION, writer))  # noqa: S608 - of constants
            write.execute("DELETE FROM labels WHERE writer = ?", (writer,))
        with _explained(self.path):
            # The log still has the pages as they were.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(gone)

    def _make_room(self, sample: Sample, most: int) -> bool:
        """Make room for one more sample, and return whether there is room. Within a transaction."""
        rows, reason = self._connection.execute, sample.reason
        if reason == UNIFORM:
            drawn = [number for (number,) in rows(_DRAWN, (UNIFORM,))]
            for number in random.sample(drawn, min(max(0, len(drawn) - most + 1), AT_ONCE)):
                labelled = rows(_IS_LABELLED, (number,)).fetchone() is not None
                rows("INSERT INTO archive VALUES (?)" if labelled else "DELETE FROM samples WHERE id = ?", (number,))
            return True
        if reason == CORRECTION:
            held = rows(_UNCONFIRMED, (CORRECTION,)).fetchall()
            owners = Counter(writer for _, writer in held)
            own = owners[sample.rows[0].writer] if sample.rows else 0
            # Whoever has less than others is never refused.
            if len(held) >= most and own >= max(owners.values()):
                return False
        elif reason == DISAGREEMENT:
            held = rows(_DISAGREEING, (DISAGREEMENT,)).fetchall()
        else:
            held = rows(_CHOSEN, _OWN_QUOTAS).fetchall()
        for number in crowded_out(held, most):
            rows("DELETE FROM samples WHERE id = ?", (number,))
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _explained(self.path):
            # At once: whoever only reads first might find that another one has written meanwhile.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_in_place()
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self._check_in_place()

    def _check_in_place(self) -> None:
        """Raise SamplesError if the file is no longer where it was opened: nobody would find what is written to it."""
        if _identity(self.path) != self._file:
            raise MovedError(
                f"{self.path} was moved or deleted while it was in use",
                hint="Put it back, or stop what uses it before you move it.",
            )


class MovedError(SamplesError):
    """The file that is open is no longer where it was opened."""


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def samples_in(directory: Path) -> list[Sample]:
    """Return the samples of a directory, none where it has no store. Raises what `SampleStore.open` raises."""
    if not (directory / FILE).exists():
        return []
    with SampleStore.open(directory) as store:
        return store.samples()


def _note(write: sqlite3.Connection, name: str, value: object) -> None:
    write.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (name, msgspec.json.encode(value).decode()))


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool, spec: InputSpec) -> None:
    # A file that somebody else made may hold triggers and views that call functions.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    if create and not connection.execute("PRAGMA user_version").fetchone()[0]:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been faster.
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            usual = spec.takes_the_same(default_input())
            schema = Path(__file__).with_name("store.sql").read_text("utf-8").format(
                bytes=spec.nbytes, reasons=REASONS, archive=_ARCHIVE, application=APPLICATION,
                version=1 if usual else VERSION,
            )  # fmt: skip
            for statement in filter(str.strip, schema.split(";")):
                connection.execute(statement)
            if not usual:
                _note(connection, _ABOUT, InputSpec(shape=spec.shape, dtype=spec.dtype))
        connection.execute("COMMIT")
    elif not connection.execute("PRAGMA page_count").fetchone()[0]:
        # What made it was killed before it wrote anything.
        raise _empty(path.parent)
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise SamplesError(f"{path} is not a store of samples", hint="Name another directory.")
    if version > VERSION:
        raise SamplesError(
            f"{path} has version {version}, and this edgemnist reads up to {VERSION}",
            hint=f"Install a newer edgemnist with: {upgrade_line()}",
        )
    _migrate(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Reads every page once, a few milliseconds: a file that was cut shows it now, and not in the middle of the work.
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise _damaged(path)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a store of 0.1.0 up to date: it has no archive, and everybody could read its files."""
    there = "SELECT 1 FROM sqlite_master WHERE name = 'archive'"
    if connection.execute(there).fetchone():
        return
    for file in (path, path.with_name(f"{FILE}-wal"), path.with_name(f"{FILE}-shm")):
        # Of another user's files, that user decides.
        with suppress(OSError):
            file.chmod(0o600)
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute(there).fetchone():
        connection.execute(_ARCHIVE)
        # Its corrections were kept without a limit of their own, and stay.
        connection.execute("INSERT INTO archive SELECT id FROM samples WHERE reason = ?", (CORRECTION,))
    connection.execute("COMMIT")


def _empty(directory: Path) -> UsageError:
    return UsageError(f"{directory} has no samples", hint=f"Collect some with: edgemnist serve --collect {directory}")


def _damaged(path: Path) -> SamplesError:
    return SamplesError(
        f"{path} is damaged",
        hint=f"Save what can be read with: sqlite3 {path} .recover, or move the file away and start a new one.",
    )


_REFUSALS: Final = {
    "SQLITE_FULL": ("the disk is full", "Free some space there, or name another directory."),
    "SQLITE_READONLY": ("it is read-only", "Make it writable, or name another directory."),
    "SQLITE_CANTOPEN": ("it cannot be opened", "Check its permissions, or name another directory."),
    "SQLITE_BUSY": ("another process has it locked", "Try again when that process is done."),
    "SQLITE_IOERR": ("the disk fails to read or write", "Check the disk, or name another directory."),
    "SQLITE_CONSTRAINT": ("a value is out of its range", "Name another directory."),
}
"""What is wrong and what to do, by the start of SQLite's name for it."""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's refusals into a sentence that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_CANTOPEN") and path.exists() and not os.access(path.parent, os.W_OK):
            # Of a file system that is read-only, SQLite only says that it cannot make its log there.
            name = "SQLITE_READONLY"
        for start, (reason, hint) in _REFUSALS.items():
            if name.startswith(start):
                raise SamplesError(f"{path} cannot be used: {reason}", hint=hint) from error
        raise _damaged(path) from error


def _insert_sample(write: sqlite3.Connection, sample: Sample) -> int:
    values = [getattr(sample, name) for name in _FIELDS]
    added = write.execute(f"INSERT INTO samples ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - of constants
    return int(added.lastrowid or 0)


def _insert_label(write: sqlite3.Connection, sample: int, label: Label) -> None:
    values = (sample, label.label, label.writer, label.at, label.settles)
    write.execute("INSERT INTO labels (sample, label, writer, at, settles) VALUES (?, ?, ?, ?, ?)", values)
