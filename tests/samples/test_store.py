"""The store: what is kept stays, whatever happens to the process, the disk and the file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from edgemnist.errors import StorageError, UsageError, upgrade_line
from edgemnist.samples import CORRECTION, DOUBTFUL, NOT_A_DIGIT, UNIFORM, Label
from edgemnist.samples.store import FILE, SampleStore
from tests.samples.making import image_of, sample_of


def test_a_sample_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = sample_of(7, answer="3", confidence=0.25, release="2026-11-26T01-00-00Z-abc")
    with SampleStore.open(tmp_path, create=True) as store:
        number = store.add(kept)
    with SampleStore.open(tmp_path) as store:
        (found,) = store.samples()
    assert found.id == number
    assert np.array_equal(found.image, image_of(7))
    assert found.image.dtype == np.uint8
    fields = ("at", "source", "artifact", "release", "answer", "confidence", "reason", "labels")
    assert [getattr(found, name) for name in fields] == [getattr(kept, name) for name in fields]


def test_any_tool_for_sqlite_reads_it_and_finds_one_file_once_it_is_closed(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        store.add(sample_of(1))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    plain = sqlite3.connect(f"file:{tmp_path / FILE}?mode=ro", uri=True)
    assert plain.execute("SELECT answer, reason, length(image) FROM samples").fetchall() == [("1", DOUBTFUL, 784)]
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


def test_labels_that_differ_are_open_until_somebody_who_saw_both_decides(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        number = store.add(sample_of(1)) or 0
        store.label(number, "1", "ann")
        store.label(number, "7", "bob")
        (sample,) = store.samples()
        assert (sample.label, sample.disputed) == (None, True)
        store.label(number, "1", "ann")
        assert store.samples()[0].disputed
        store.label(number, NOT_A_DIGIT, "ann", settles=True)
        (sample,) = store.samples()
        assert (sample.label, sample.disputed) == (NOT_A_DIGIT, False)
        # Whoever objects after that opens it again.
        store.label(number, "7", "bob")
        assert store.samples()[0].disputed


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
        assert (left.id, left.label) == (kept, "9")
        (sent,) = store.sent()
        assert [label.at for label in left.labels] == [label.at for label in sent.labels]
        # While it is open, too: neither the file nor its log.
        for path in tmp_path.iterdir():
            assert b"bob-the-writer" not in path.read_bytes()
            assert image_of(3).tobytes() not in path.read_bytes()


def test_what_has_a_label_is_never_replaced(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        first = [store.add(sample_of(digit, answer="1" if digit < 3 else "2")) or 0 for digit in range(5)]
        even = store.add(sample_of(9, reason=UNIFORM)) or 0
        for number in (*first[1:3], even):
            store.label(number, "1", "ann")

        def left() -> list[int]:
            return [one.id for one in store.samples() if one.id in {*first, even}]

        # The oldest of the answer that has most, without a label.
        assert store.add(sample_of(6, answer="5"), most=5) is not None
        assert left() == [first[0], first[1], first[2], first[4], even]
        # A limit that is lower than it was.
        assert store.add(sample_of(7, answer="6"), most=3) is not None
        assert left() == [first[1], first[2], even]
        assert store.add(sample_of(8), most=2) is None
        assert store.add(sample_of(8, reason=UNIFORM), most=1) is None
        assert left() == [first[1], first[2], even]


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
            store.add(sample_of(2, confidence=7.0), most=1, counts={"seen": 3})
        assert [one.id for one in store.samples()] == [old]
        assert store.get_count("seen") == 0


def test_there_is_nothing_to_read_where_nothing_was_kept(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no samples"):
        SampleStore.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    # What made it was killed before it wrote anything.
    (tmp_path / FILE).touch()
    with pytest.raises(UsageError, match="has no samples"):
        SampleStore.open(tmp_path)
    with SampleStore.open(tmp_path, create=True) as store:
        assert store.samples() == []


def newer(path: Path) -> None:
    change(path, "PRAGMA user_version = 9")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)


def of_another_kind(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE recipes (id)")


def without_a_table(path: Path) -> None:
    change(path, "DROP TABLE labels")


def no_database(path: Path) -> None:
    path.write_text("samples,labels\n" * 200)


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (newer, "has version 9, and this edgemnist reads up to 1"),
        (cut, "is damaged"),
        (overwritten, "is damaged"),
        (of_another_kind, "is not a store of samples"),
        (without_a_table, "is damaged"),
        (no_database, "is damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(spoil: object, sentence: str, tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        for digit in range(40):
            store.add(sample_of(digit % 10))
    assert callable(spoil)
    spoil(tmp_path / FILE)
    with pytest.raises(StorageError, match=sentence) as caught, SampleStore.open(tmp_path) as store:
        store.samples()
    assert caught.value.hint


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE samples SET answer = 7, confidence = '0.5'",
        "UPDATE labels SET label = 3, writer = 5",
        "UPDATE samples SET at = 'yesterday'",
    ],
)
def test_a_value_of_another_type_that_somebody_typed_is_taken_as_text_or_refused(edit: str, tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        store.label(store.add(sample_of(1)) or 0, "1", "ann")
    change(tmp_path / FILE, edit)
    with SampleStore.open(tmp_path) as store:
        (found,) = store.samples()
    assert isinstance(found.answer, str)
    assert isinstance(found.confidence, float)
    assert all(isinstance(one.label, str) and isinstance(one.writer, str) for one in found.labels)


@pytest.mark.parametrize(
    "edit",
    ["UPDATE samples SET image = x'00'", "UPDATE samples SET confidence = 'high'", "UPDATE samples SET reason = 'x'"],
)
def test_what_is_no_sample_cannot_be_typed_into_it(edit: str, tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        store.add(sample_of(1))
    with pytest.raises(sqlite3.IntegrityError):
        change(tmp_path / FILE, edit)


def test_what_cannot_be_done_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        SampleStore.open(tmp_path / "none")
    assert caught.value.message == f"{tmp_path / 'none'} has no samples"
    assert caught.value.hint == f"Collect some with: edgemnist serve --collect {tmp_path / 'none'}"
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as refused:
        SampleStore.open(tmp_path / "file", create=True)
    assert (
        refused.value.message
        == f"{tmp_path / 'file'} cannot be created: {tmp_path / 'file'} is a file, not a directory"
    )
    assert refused.value.hint == "Choose another directory for the samples."
    path = tmp_path / FILE
    with SampleStore.open(tmp_path, create=True) as store:
        with pytest.raises(UsageError) as unknown:
            store.label(7, "1", "ann")
        assert unknown.value.message == f"{path} has no sample 7"
    change(path, "PRAGMA user_version = 2")
    with pytest.raises(StorageError) as newer_file:
        SampleStore.open(tmp_path)
    assert newer_file.value.message == f"{path} has version 2, and this edgemnist reads up to 1"
    assert newer_file.value.hint == f"Install a newer edgemnist with: {upgrade_line()}"
    change(path, "PRAGMA application_id = 1")
    with pytest.raises(StorageError) as other_file:
        SampleStore.open(tmp_path)
    assert other_file.value.message == f"{path} is not a store of samples"
    assert other_file.value.hint == "Name another directory."
    path.write_text("samples,labels\n" * 200)
    with pytest.raises(StorageError) as damaged:
        SampleStore.open(tmp_path)
    assert damaged.value.message == f"{path} is damaged"
    assert damaged.value.hint == (
        f"Save what can be read with: sqlite3 {path} .recover, or move the file away and start a new one."
    )


def test_a_directory_that_is_read_only_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The log cannot be made, as on a file system that is mounted read-only; root may write everywhere else.
    SampleStore.open(tmp_path, create=True).close()
    (tmp_path / f"{FILE}-wal").mkdir()
    with pytest.raises(StorageError, match="it cannot be opened"):
        SampleStore.open(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(StorageError, match="it is read-only"):
        SampleStore.open(tmp_path)


def test_a_store_that_another_process_keeps_to_itself_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SampleStore.open(tmp_path, create=True).close()
    monkeypatch.setattr("edgemnist.samples.store.WAIT_S", 0.05)
    with SampleStore.open(tmp_path) as store:
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as caught:
            store.add(sample_of(1))
        other.execute("ROLLBACK")
        other.close()
        assert caught.value.message == f"{tmp_path / FILE} cannot be used: another process has it locked"
        assert caught.value.hint == "Try again when that process is done."
        # Nothing of it is left open.
        assert store.add(sample_of(1)) == 1


def test_counts_are_those_of_the_last_time_and_a_commit_is_on_the_disk(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path, create=True) as store:
        assert store.get_count("seen") == 0
        store.add(sample_of(1), counts={"seen": 3, "skipped": 2})
        store.add(sample_of(2), counts={"seen": 7})
        assert (store.get_count("seen"), store.get_count("skipped")) == (7, 2)
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "trusted_schema")
        told = [store._connection.execute(f"PRAGMA {one}").fetchone()[0] for one in pragmas]
    assert told == ["wal", 2, 1, 1, 0]
