"""The journal of a search holds whole lines, and one search writes it at a time."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import StorageError, UsageError
from edgemnist.pipeline.search.study import JOURNAL_FILE, LOCK_FILE, Journal, locked


def lines_of(directory: Path) -> list[Any]:
    return [json.loads(line) for line in (directory / JOURNAL_FILE).read_bytes().splitlines()]


def test_one_search_at_a_time_works_in_a_directory(tmp_path: Path) -> None:
    directory = tmp_path / "below" / "search"
    with locked(directory):
        assert (directory / LOCK_FILE).is_file()
        with pytest.raises(UsageError, match=f"Another search is running in {directory}"), locked(directory):
            pass
    with locked(directory):
        pass


def test_a_file_system_without_locks_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path):
        pass


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"search cannot be written: .*file is a file") as failure:
        locked(tmp_path / "file" / "search").__enter__()
    assert failure.value.hint.startswith("Repair that, or free some space, and run the search again")
    with pytest.raises(StorageError, match="nowhere cannot be written: No such file or directory"):
        Journal(tmp_path / "nowhere")


def test_lines_are_appended_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    Journal(tmp_path).append_logs([{"a": 1, "z": 2}, {"b": "é"}])
    before = (tmp_path / JOURNAL_FILE).stat().st_mtime_ns
    again = Journal(tmp_path)
    # A whole journal is not written to when it is opened.
    assert (tmp_path / JOURNAL_FILE).stat().st_mtime_ns == before
    again.append_logs([{"c": 3}])
    assert (tmp_path / JOURNAL_FILE).read_bytes() == b'{"a":1,"z":2}\n{"b":"\\u00e9"}\n{"c":3}\n'
    assert list(again.read_logs(1)) == [{"b": "é"}, {"c": 3}]
    assert synced == [29, 37]


@pytest.mark.parametrize(
    ("torn", "whole"),
    [
        (b"", b""),
        (b"{", b""),
        (b'{"a":1}', b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b'{"a":1}\n{"b":2}', b'{"a":1}\n'),
        (b'{"a":1}\n{"b":2}\n{"c', b'{"a":1}\n{"b":2}\n'),
        (b'{"a":1}\n1', b'{"a":1}\n'),
    ],
)
def test_what_was_left_unfinished_is_cut_off(torn: bytes, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(torn)
    journal = Journal(tmp_path)
    assert (tmp_path / JOURNAL_FILE).read_bytes() == whole
    journal.append_logs([{"z": 9}])
    assert lines_of(tmp_path)[-1] == {"z": 9}


def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="cannot be written: No space left") as failure:
        Journal(tmp_path).append_logs([{"a": 1}])
    assert "free some space, and run the search again" in failure.value.hint
