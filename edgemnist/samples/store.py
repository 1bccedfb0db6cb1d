"""The store of samples: one SQLite file, `samples.sqlite`, in a directory of its own.

SQLite, and not pictures beside JSON lines: a kept sample, the one whose place it takes and its quota are one
transaction, which a power cut leaves whole or undone; a service may write while somebody labels; and the `sqlite3`
shell, Python, R and DB Browser read it, as they read every file of the format (sqlite.org/locrsf.html). With the
write-ahead log and `synchronous=FULL` every commit is on the disk when it returns.

Labels are only ever added. The last one of each writer counts; taking one back adds a row without a label.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.errors import SamplesError, StorageError, UsageError, reason_of, upgrade_line
from edgemnist.samples import CORRECTION, PIXELS, REASONS, UNIFORM, LabelRow, Sample, Sent, now

FILE: Final = "samples.sqlite"
APPLICATION: Final = 0x65646D73
"""SQLite's `application_id`: "edms"."""
VERSION: Final = 1
"""SQLite's `user_version`."""
WAIT_S: Final = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA: Final = f"""
CREATE TABLE samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image BLOB NOT NULL CHECK (typeof(image) = 'blob' AND length(image) = {PIXELS}),
    at TEXT NOT NULL,
    source TEXT NOT NULL,
    artifact TEXT NOT NULL,
    release TEXT,
    answer TEXT,
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    reason TEXT NOT NULL CHECK (reason IN ({", ".join(map(repr, REASONS))}))
);
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sample INTEGER NOT NULL REFERENCES samples ON DELETE CASCADE,
    label TEXT,
    writer TEXT NOT NULL,
    at TEXT NOT NULL,
    settles INTEGER NOT NULL CHECK (settles IN (0, 1))
);
CREATE INDEX labels_of_sample ON labels (sample);
CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""
_SAMPLES: Final = "SELECT id, image, at, source, artifact, release, answer, confidence, reason FROM samples ORDER BY id"
_LABELS: Final = "SELECT sample, label, writer, at, settles FROM labels ORDER BY id"


class SampleStore(AbstractContextManager["SampleStore"]):
    """The samples of a directory; as a context manager, which closes it.

    Every method raises SamplesError if the file is damaged or cannot be written: the disk is full, it is read-only, or
    another process holds it for longer than `WAIT_S`. Samples stored before stay.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, directory: Path, *, create: bool = False) -> SampleStore:
        """Open the store of a directory; with `create`, make both if they are missing.

        Raises UsageError if there is none, StorageError if the directory cannot be made, and SamplesError if the file
        is not a store, is damaged, or was written by a newer edgemnist.
        """
        path = directory / FILE
        if create:
            try:
                directory.mkdir(parents=True, exist_ok=True)
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
                _prepare(connection, path, create=create)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, after moving the contents of the log into it."""
        with _explained(self.path):
            self._connection.close()

    def samples(self) -> list[Sample]:
        """Return all samples in the order in which they were kept."""
        return [one.sample() for one in self.sent()]

    def add(self, sample: Sample, *, most: int | None = None, counts: Mapping[str, int] | None = None) -> int | None:
        """Keep a sample with its labels, write `counts`, and return the sample's id: all in one transaction.

        `most` limits the samples of the even draw if the new one belongs to it, and all others if not. Once there are
        that many, an unlabelled one goes: any of the even draw, or else the oldest of the answer that has the most. If
        all have labels, the new one is not kept, and None is returned.
        """
        with self._transaction() as write:
            uniform = sample.reason == UNIFORM
            if most is not None and not self._make_room(uniform=uniform, most=most):
                return None
            number = _insert_sample(write, sample)
            for label in sample.labels:
                _insert_label(write, number, LabelRow(*label))
            for name, value in (counts or {}).items():
                write.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (name, value))
        return number

    def label(self, sample: int, label: str | None, writer: str, *, settles: bool = False) -> None:
        """Add a writer's label of a sample; None takes back their earlier one.

        Raises UsageError if the sample does not exist, or no longer does.
        """
        with self._transaction() as write:
            if write.execute("SELECT 1 FROM samples WHERE id = ?", (sample,)).fetchone() is None:
                raise UsageError(f"{self.path} has no sample {sample}")
            _insert_label(write, sample, LabelRow(label, writer, now(), settles))

    def sent(self) -> list[Sent]:
        """Return all samples with every row of their labels, for another store to `merge`."""
        with _explained(self.path):
            rows = self._connection.execute(_LABELS).fetchall()
            samples = self._connection.execute(_SAMPLES).fetchall()
        found: dict[int, list[LabelRow]] = {}
        for sample, label, writer, at, settles in rows:
            found.setdefault(sample, []).append(LabelRow(label, writer, at, bool(settles)))
        names = ("id", "image", "at", "source", "artifact", "release", "answer", "confidence", "reason")
        return [Sent(**dict(zip(names, row, strict=True)), labels=found.get(row[0], [])) for row in samples]

    def merge(self, samples: Sequence[Sent]) -> int:
        """Add the samples and labels of another store that are missing here, and return the number of these labels.

        Two samples are the same if their images and times are. The merge is one transaction, and repeating it changes
        nothing.
        """
        added = 0
        with self._transaction() as write:
            for one in samples:
                found = write.execute(
                    "SELECT id FROM samples WHERE image = ? AND at = ?", (one.image, one.at)
                ).fetchone()
                number = int(found[0]) if found is not None else _insert_sample(write, one.sample())
                rows = write.execute("SELECT label, writer, at FROM labels WHERE sample = ?", (number,)).fetchall()
                for label in one.labels:
                    if (label.label, label.writer, label.at) not in rows:
                        _insert_label(write, number, label)
                        added += 1
        return added

    def get_count(self, name: str) -> int:
        """Return a count that `add` wrote; 0 if it did not."""
        with _explained(self.path):
            row = self._connection.execute("SELECT value FROM counts WHERE name = ?", (name,)).fetchone()
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

    def _make_room(self, *, uniform: bool, most: int) -> bool:
        """Make room for one more sample, and return whether there is room. Within a transaction."""
        kind = "(reason = ?) = ?"
        free = "NOT EXISTS (SELECT 1 FROM labels WHERE labels.sample = samples.id)"
        order = "GROUP BY id ORDER BY random()" if uniform else "GROUP BY answer ORDER BY count(*) DESC, min(id)"
        count = f"SELECT count(*) FROM samples WHERE {kind}"  # noqa: S608 - of constants, as below
        choose = f"SELECT min(id) FROM samples WHERE {kind} AND {free} {order} LIMIT 1"  # noqa: S608
        # More than one goes if the limit is lower than it was.
        while self._connection.execute(count, (UNIFORM, uniform)).fetchone()[0] >= most:
            row = self._connection.execute(choose, (UNIFORM, uniform)).fetchone()
            if row is None:
                return False
            self._connection.execute("DELETE FROM samples WHERE id = ?", row)
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _explained(self.path):
            # At once: whoever only reads first might find that another one has written meanwhile.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def samples_in(directory: Path) -> list[Sample]:
    """Return the samples of a directory, none where it has no store. Raises what `SampleStore.open` raises."""
    if not (directory / FILE).exists():
        return []
    with SampleStore.open(directory) as store:
        return store.samples()


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    # A file that somebody else made may hold triggers and views that call functions.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    if create and not connection.execute("PRAGMA user_version").fetchone()[0]:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been faster.
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
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
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Reads every page once, a few milliseconds: a file that was cut shows it now, and not in the middle of the work.
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise _damaged(path)


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
    values = (
        np.ascontiguousarray(sample.image, np.uint8).tobytes(),
        *(sample.at, sample.source, sample.artifact, sample.release, sample.answer),
        *(sample.confidence, sample.reason),
    )
    places = "image, at, source, artifact, release, answer, confidence, reason"
    added = write.execute(f"INSERT INTO samples ({places}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - of constants
    return int(added.lastrowid or 0)


def _insert_label(write: sqlite3.Connection, sample: int, label: LabelRow) -> None:
    values = (sample, label.label, label.writer, label.at, label.settles)
    write.execute("INSERT INTO labels (sample, label, writer, at, settles) VALUES (?, ?, ?, ?, ?)", values)
