"""The store: what is kept stays, whatever happens to the process, the disk and the file."""

import contextlib
import itertools
import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import StorageError, UsageError
from edgemnist.field.samples import (
    CORRECTION,
    DISAGREEMENT,
    DOUBTFUL,
    NONE_OF_THESE,
    REFUSED,
    UNIFORM,
    Label,
    Sample,
    decode_samples,
)
from edgemnist.field.samples.store import FILE, Quota, SampleStore, crowded_out, is_drawn
from tests.messages import Told
from tests.samples.making import image_of, sample_of


def test_a_sample_comes_back_as_it_was_kept_and_any_tool_for_sqlite_reads_it(tmp_path: Path) -> None:
    labels = (Label("7", "ann", "2026-11-26", settles=False), Label("1", "bob", "2026-11-27", settles=True))
    kept = sample_of(7, answer="3", confidence=0.25, release="2026-11-26T01-00-00Z-abc", labels=labels)
    with SampleStore.open(tmp_path, create=True) as store:
        number = store.add(kept)
    with SampleStore.open(tmp_path) as store:
        (found,) = store.samples()
    assert msgspec.structs.replace(found, id=0) == kept
    assert (found.id, found.image.dtype.name) == (number, "uint8")
    assert np.array_equal(found.image, image_of(7))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    plain = sqlite3.connect(f"file:{tmp_path / FILE}?mode=ro", uri=True)
    assert plain.execute("SELECT answer, reason, length(image) FROM samples").fetchall() == [("3", DOUBTFUL, 784)]
    plain.close()


def test_the_last_label_of_each_writer_counts_and_can_be_taken_back(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        number = store.add(sample_of(1)) or 0
        store.label(number, "1", "ann")
        store.label(number, "7", "ann")
        assert store.samples()[0].label == "7"
        store.label(number, None, "ann")
        assert store.samples()[0].labels == ()
        with pytest.raises(UsageError, match="has no sample 99"):
            store.label(99, "1", "ann")
        # Nothing is overwritten.
        rows = sqlite3.connect(tmp_path / FILE).execute("SELECT label FROM labels ORDER BY id").fetchall()
    assert rows == [("1",), ("7",), (None,)]


def test_forgetting_a_writer_leaves_nothing_of_theirs_in_the_file(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        theirs = sample_of(
            3, reason=CORRECTION, labels=(Label("5", "bob-the-writer", "2026-11-26T00:00:00.000Z", settles=False),)
        )
        store.add(theirs)
        kept = store.add(sample_of(4)) or 0
        store.label(kept, "4", "bob-the-writer")
        store.label(kept, "9", "ann")
        assert store.forget("bob-the-writer") == 2
        (left,) = store.samples()
        assert (left.id, left.label, len(left.rows)) == (kept, "9", 1)
        # While it is open, too: neither the file nor its log.
        for path in tmp_path.iterdir():
            assert b"bob-the-writer" not in path.read_bytes()
            assert image_of(3).tobytes() not in path.read_bytes()


def test_what_has_a_label_is_never_replaced_and_takes_no_place(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        first = [store.add(sample_of(digit, answer="1" if digit < 3 else "2")) or 0 for digit in range(6)]
        even = [store.add(sample_of(9, reason=UNIFORM)) or 0 for _ in range(2)]
        for number in (*first[1:3], *even):
            store.label(number, "1", "ann")

        def left() -> list[int]:
            return [one.id for one in store.samples() if one.id in {*first, *even}]

        # Of four without a label, the oldest of the answer that has most.
        assert store.add(sample_of(6, answer="5"), most=4) is not None
        assert left() == [*first[:3], *first[4:], *even]
        # A limit that is lower than it was is reached two by two.
        assert store.add(sample_of(7, answer="6"), most=2) is not None
        assert left() == [*first[1:3], first[5], *even]
        for _ in range(3):
            assert store.add(sample_of(8, answer="7"), most=1) is not None
            assert store.add(sample_of(8, reason=UNIFORM), most=1) is not None
        assert left() == [*first[1:3], *even]
        assert len(store.samples()) == 4 + 1 + 1


def test_a_label_that_comes_back_takes_no_place_of_the_even_draw(tmp_path: Path) -> None:
    with (
        SampleStore.open(tmp_path / "board", create=True) as board,
        SampleStore.open(tmp_path / "desk", create=True) as desk,
    ):
        for digit in range(3):
            board.add(sample_of(digit, reason=UNIFORM))
        desk.merge(board.samples())
        for one in desk.samples():
            desk.label(one.id, str(one.answer), "ann")
        for digit in range(3, 9):
            board.add(sample_of(digit, reason=UNIFORM), most=3)
        assert board.merge(desk.samples()) == 3
        assert sorted(str(one.answer) for one in board.samples() if one.labels) == ["0", "1", "2"]
        drawn = "SELECT count(*) FROM samples WHERE id NOT IN (SELECT sample FROM archive)"
        for _ in range(20):
            assert board._connection.execute(drawn).fetchone() == (3,)
            board.add(sample_of(9, reason=UNIFORM), most=3)
        assert len([one for one in board.samples() if one.labels]) == 3


OLD_SCHEMA = """
CREATE TABLE samples (id INTEGER PRIMARY KEY AUTOINCREMENT,
    image BLOB NOT NULL CHECK (typeof(image) = 'blob' AND length(image) = 784), at TEXT NOT NULL, source TEXT NOT NULL,
    artifact TEXT NOT NULL, release TEXT, answer TEXT, confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    reason TEXT NOT NULL
    CHECK (reason IN ('doubtful', 'refused', 'disagreement', 'correction', 'uniform', 'imported')));
CREATE TABLE labels (id INTEGER PRIMARY KEY AUTOINCREMENT, sample INTEGER NOT NULL REFERENCES samples ON DELETE CASCADE,
    label TEXT, writer TEXT NOT NULL, at TEXT NOT NULL, settles INTEGER NOT NULL CHECK (settles IN (0, 1)));
CREATE INDEX labels_of_sample ON labels (sample);
CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA application_id = 1701080435;
PRAGMA user_version = 1;
"""
"""As version 0.1.0 made it."""
COLUMNS = "image, at, source, artifact, answer, confidence, reason"


def make_old_store(directory: Path) -> None:
    """Make a store of 0.1.0, full of corrections, and of labels in the even draw."""
    directory.mkdir()
    connection = sqlite3.connect(directory / FILE, isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode = WAL; {OLD_SCHEMA}")
    row = f"INSERT INTO samples ({COLUMNS}) VALUES (?, ?, 'a', 'b', ?, 0.5, ?)"
    connection.execute("BEGIN")
    for reason in (*[CORRECTION] * 40, *[UNIFORM] * 4, *[DOUBTFUL] * 8):
        number = connection.execute(row, (image_of(1).tobytes(), "2026-11-26T00:00:00.000Z", "1", reason)).lastrowid
        if reason != DOUBTFUL:
            label = "INSERT INTO labels (sample, label, writer, at, settles) VALUES (?, ?, 'client', '2026', 0)"
            connection.execute(label, (number, "not-a-digit" if reason == UNIFORM else "7"))
    connection.execute("INSERT INTO counts VALUES ('seen', 1000)")
    connection.execute("COMMIT")
    connection.close()
    (directory / FILE).chmod(0o644)


def test_a_store_of_the_first_version_loses_nothing_and_is_still_one(tmp_path: Path) -> None:
    make_old_store(tmp_path / "old")
    with SampleStore.open(tmp_path / "old") as store:
        assert len(store.samples()) == 52
        assert {one.label for one in store.samples() if one.reason == UNIFORM} == {NONE_OF_THESE}
        assert store.seen() == 1000
        label = Label("5", "ann", "2026-11-27T00:00:00.000Z", settles=False)
        assert store.add(sample_of(5, reason=CORRECTION, labels=(label,)), most=1) is not None
        for _ in range(8):
            assert store.add(sample_of(6, reason=UNIFORM), most=4) is not None
        assert len([one for one in store.samples() if one.labels]) == 45
    # After a way back, 0.1.0 reads and writes it as before.
    connection = sqlite3.connect(tmp_path / "old" / FILE)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    row = f"INSERT INTO samples ({COLUMNS}) SELECT {COLUMNS} FROM samples WHERE id = 1"
    connection.execute(row)
    connection.execute("DELETE FROM samples WHERE reason = 'uniform'")
    connection.commit()
    connection.close()
    with SampleStore.open(tmp_path / "old") as store:
        assert len(store.samples()) == 41 + 8 + 1


def open_and_die(place: Path, step: int) -> None:
    """Open a store in this process, which ends at a statement, with nothing flushed or rolled back, or at the end."""
    real, left = sqlite3.connect, itertools.count(step, -1)

    def dying(*words: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*words, **named)
        connection.set_trace_callback(lambda _: os._exit(9) if next(left) <= 1 else None)
        return connection

    sqlite3.connect = dying  # type: ignore[assignment]  # of this process alone
    SampleStore.open(place)
    os._exit(0)


def test_killed_at_any_statement_of_the_update_a_store_is_whole(tmp_path: Path) -> None:
    make_old_store(tmp_path / "old")
    steps = 0
    for step in itertools.count(1):
        place = Path(shutil.copytree(tmp_path / "old", tmp_path / str(step)))
        pid = os.fork()
        if not pid:
            open_and_die(place, step)
        if not os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            break
        steps += 1
        with SampleStore.open(place) as store:
            assert len(store.samples()) == 52
            assert store._connection.execute("SELECT count(*) FROM archive").fetchone() == (40,), step
    assert steps > 8


def test_nobody_else_reads_what_is_kept(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_old_store(tmp_path / "old")
        for place in (tmp_path / "new", tmp_path / "old"):
            with SampleStore.open(place, create=True) as store:
                store.add(sample_of(1))
                modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
            assert modes == dict.fromkeys((FILE, f"{FILE}-shm", f"{FILE}-wal"), 0o600)
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    finally:
        os.umask(before)
    # Whoever lets others read it afterwards is not overruled.
    (tmp_path / "new" / FILE).chmod(0o640)
    SampleStore.open(tmp_path / "new").close()
    assert stat.S_IMODE((tmp_path / "new" / FILE).stat().st_mode) == 0o640


@pytest.mark.parametrize("gone", [shutil.rmtree, lambda place: place.rename(place.with_name("away"))])
def test_nothing_is_written_into_a_file_moved_or_deleted(gone: Callable[[Path], object], tmp_path: Path) -> None:
    place = tmp_path / "samples"
    with SampleStore.open(place, create=True) as store:
        number = store.add(sample_of(1)) or 0
        gone(place)
        writes: list[Callable[[], object]] = [
            lambda: store.add(sample_of(2)),
            lambda: store.label(number, "1", "ann"),
            lambda: store.merge([]),
            lambda: store.forget("ann"),
        ]
        for write in writes:
            with pytest.raises(StorageError, match="was moved or deleted while it was in use"):
                write()
        # Nor if another one is there by now.
        SampleStore.open(place, create=True).close()
        with pytest.raises(StorageError, match="was moved or deleted"):
            store.label(number, "1", "ann")


def test_of_the_even_draw_any_sample_goes_and_elsewhere_the_oldest_of_the_answer_that_has_most(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        first = [store.add(sample_of(1, answer="1")) for _ in range(12)]
        second = [store.add(sample_of(2, answer="2"), most=12) for _ in range(4)]
        assert [one.id for one in store.samples()] == [*first[4:], *second]
        drawn = [store.add(sample_of(3, answer="3", reason=UNIFORM), most=10) for _ in range(60)]
        left = [one.id for one in store.samples() if one.reason == UNIFORM]
        assert len(left) == 10
        assert left != drawn[-10:]


def test_a_replacement_is_one_transaction(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        old = store.add(sample_of(1))
        with pytest.raises(StorageError, match="a value is out of its range"):
            store.add(sample_of(2, confidence=7.0), most=1, seen=3)
        assert [one.id for one in store.samples()] == [old]
        assert store.seen() == 0


def change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)


def of_another_kind(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE recipes (id)")


SPOILED: dict[str, Callable[[Path], object]] = {
    "newer": lambda path: change(path, "PRAGMA user_version = 9"),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "overwritten": overwritten,
    "of another kind": of_another_kind,
    "without a table": lambda path: change(path, "DROP TABLE labels"),
    "no database": lambda path: path.write_text("samples,labels\n" * 200),
    # What made it was killed before it wrote anything.
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_file_that_cannot_be_used_is_told(spoil: str, tmp_path: Path, told: Told) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        for digit in range(40):
            store.add(sample_of(digit % 10))
    SPOILED[spoil](tmp_path / FILE)
    with told(), SampleStore.open(tmp_path) as store:
        store.samples()
    if spoil in {"empty", "gone"}:
        with SampleStore.open(tmp_path, create=True) as store:
            assert store.samples() == []


def test_what_cannot_be_done_comes_with_what_can(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemnist.field.samples.store.WAIT_S", 0.05)
    (tmp_path / "file").touch()
    with told():
        SampleStore.open(tmp_path / "none")
    with told():
        SampleStore.open(tmp_path / "file", create=True)
    with SampleStore.open(tmp_path / "here", create=True) as store:
        other = sqlite3.connect(tmp_path / "here" / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with told():
            store.add(sample_of(1))
        other.execute("ROLLBACK")
        other.close()
        # Nothing of it is left open.
        assert store.add(sample_of(1)) == 1
        with told():
            store.label(7, "1", "ann")
    # The log cannot be made, as on a file system that is mounted read-only; root may write everywhere else.
    (tmp_path / "here" / f"{FILE}-wal").mkdir()
    with told():
        SampleStore.open(tmp_path / "here")
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / "here")
    with told():
        SampleStore.open(tmp_path / "here")


def test_a_commit_is_on_the_disk_and_a_file_of_somebody_else_runs_nothing(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        for seen in (3, 7):
            store.add(sample_of(1), seen=seen)
        assert store.seen() == 7
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "trusted_schema")
        told = [store._connection.execute(f"PRAGMA {one}").fetchone()[0] for one in pragmas]
    assert told == ["wal", 2, 1, 1, 0]
    for edit in ("image = x'00'", "confidence = 'high'", "reason = 'x'"):
        with pytest.raises(sqlite3.IntegrityError):
            change(tmp_path / FILE, f"UPDATE samples SET {edit}")


STREAM, SIZE, RUNS = 60, 5, 1000


def test_every_place_of_a_stream_is_drawn_equally_often() -> None:
    from scipy.stats import chisquare

    random.seed(1)
    counts = np.zeros(STREAM)
    for _ in range(RUNS):
        kept: list[int] = []
        for place in range(STREAM):
            if is_drawn(place + 1, SIZE):
                if len(kept) == SIZE:
                    kept.pop(random.randrange(SIZE))
                kept.append(place)
        assert len(kept) == SIZE
        counts[kept] += 1
    # The draws of one run exclude one another, so the statistic is a little below that of independent ones.
    assert chisquare(counts).pvalue > 0.001


def test_the_shares_of_a_limit_add_up_to_it() -> None:
    quota = Quota(500)
    assert (quota.day, quota.day_and_class) == (25, 8)
    kinds = {UNIFORM: 100, CORRECTION: 100, DISAGREEMENT: 50, DOUBTFUL: 250, REFUSED: 250}
    assert {reason: quota.of(reason) for reason in kinds} == kinds
    assert all(sum(map(Quota(total).of, list(kinds)[:4])) == total for total in range(10, 300))
    with pytest.raises(UsageError, match="--collect-max must be at least 10"):
        Quota(9)


@pytest.mark.parametrize(
    ("groups", "most", "gone"),
    [
        ("112", 4, []),
        ("112", 3, [1]),
        ("1222", 4, [2]),
        ("2121", 4, [1]),
        ("1222", 3, [2, 3]),
        ("111111", 2, [1, 2]),
        ("1", 1, [1]),
        ("", 1, []),
    ],
)
def test_the_oldest_of_the_largest_group_goes_and_two_of_too_many(groups: str, most: int, gone: list[int]) -> None:
    assert crowded_out(list(enumerate(groups, 1)), most) == gone


def sent(samples: Sequence[Sample]) -> list[Sample]:
    """Return what comes out of the document at the other end."""
    return decode_samples(msgspec.json.encode(samples), "board")


def test_labels_come_back_once_and_what_was_taken_back_stays_so(tmp_path: Path) -> None:
    with (
        SampleStore.open(tmp_path / "board", create=True) as board,
        SampleStore.open(tmp_path / "desk", create=True) as desk,
    ):
        # The desk has other ids.
        desk.add(sample_of(9))
        for digit in range(4):
            board.add(sample_of(digit, reason=UNIFORM))
        board.label(1, "3", "bob")
        desk.merge(sent(board.samples()))
        first, second = (one.id for one in desk.samples() if one.answer in {"0", "1"})
        desk.label(first, NONE_OF_THESE, "ann", settles=True)
        desk.label(second, "8", "ann")
        desk.label(second, None, "ann")
        # Somebody labels on the board meanwhile, and a sample goes.
        board.label(2, "5", "bob")
        back = sent([sample for sample in desk.samples() if sample.rows])
        assert board.merge(back) == 3
        found = {one.answer: one for one in board.samples()}
        assert len(found) == 4
        assert found["0"].label == NONE_OF_THESE
        assert [one.label for one in found["1"].labels] == ["5"]
        # A line that was cut before the answer came: all of it again changes nothing.
        before = board.samples()
        # Whatever it was called there before.
        board._connection.execute("UPDATE labels SET label = 'not-a-digit' WHERE label = ?", (NONE_OF_THESE,))
        assert board.merge(back) == 0
        assert board.samples() == before


def test_on_its_way_a_sample_has_the_labels_that_it_has_in_the_store(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "board", create=True) as board:
        board.add(sample_of(0))
        for label, writer in (("3", "bob"), ("4", "eve"), ("5", "ann"), ("7", "bob"), (None, "eve")):
            board.label(1, label, writer)
        (stored,) = board.samples()
    assert sent([stored]) == [stored]
    assert [(label.label, label.writer) for label in stored.labels] == [("5", "ann"), ("7", "bob")]


def test_a_label_of_a_sample_that_is_gone_brings_it_back(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as board:
        gone = sample_of(1, labels=(Label("4", "ann", "2026-11-26", settles=False),))
        assert board.merge([gone]) == 1
        assert [msgspec.structs.replace(sample, id=0) for sample in board.samples()] == [gone]


def test_what_is_no_document_is_told(told: Told) -> None:
    (sample,) = json.loads(msgspec.json.encode([sample_of(1)]))
    wrong = ({"image": "AAAA"}, {"reason": "whim"}, {"confidence": 2.0}, {"extra": 1})
    for data in ("", "[1]", '[{"id": 1}]', "{}", *(json.dumps([{**sample, **one}]) for one in wrong)):
        with told():
            decode_samples(data, "pi")


def test_the_boards_side_prints_samples_and_takes_labels_all_or_none(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        store.add(sample_of(1))
    command = [sys.executable, "-m", "edgemnist.field.samples", str(tmp_path / "samples")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (one,) = json.loads(printed)
    (tmp_path / "labels.json").write_text(json.dumps([{**one, "labels": [["6", "ann", "2026-11-26", False]]}]))
    subprocess.run([*command, str(tmp_path / "labels.json")], capture_output=True, check=True)
    (tmp_path / "labels.json").write_text(json.dumps([{**one, "labels": [["7", "bob", "2026", False]]}, {}]))
    done = subprocess.run([*command, str(tmp_path / "labels.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    with SampleStore.open(tmp_path / "samples") as store:
        (found,) = store.samples()
    assert [(label.label, label.writer) for label in found.labels] == [("6", "ann")]
    gone = subprocess.run([*command[:-1], str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert gone.returncode == 2
    assert "has no samples" in gone.stderr
