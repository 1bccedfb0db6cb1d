"""The file of counts: small, mergeable, and told from what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.drift import FILE, VERSION, Record, Window, count, decode_record, merge, read_place, read_record
from edgemnist.drift.evidence import alarmed, total
from edgemnist.errors import StorageError, UsageError
from tests.drift.making import add, after_a_week, bolder, images


@pytest.fixture(scope="module")
def record() -> Record:
    return after_a_week().record


def test_it_comes_back_as_it_was_in_less_than_10_kb(record: Record) -> None:
    data = record.encode()
    assert len(data) < 10_000
    assert msgspec.structs.replace(decode_record(data, "x"), checksum="") == record
    assert record.first_complete
    assert record.first.images == 500
    assert record.recent.images == 600


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_file_that_was_cut_is_told(cut: int, record: Record) -> None:
    with pytest.raises(StorageError, match=r"^x is damaged"):
        decode_record(record.encode()[:cut], "x")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"version": VERSION + 1, "new": 1}, "x has version 2, and this edgemnist reads up to 1"),
        ({"application": "another"}, "x has no counts"),
        ({"golden_errors": 0}, "x was changed after it was written"),
        ({"labels": ["0"]}, "x was changed"),
        ({"first": {}}, "x is damaged"),
        ({"evidence": {"stroke width, lower": ["much"]}}, "x is damaged"),
        ({"stranger": 1}, "x is damaged"),
    ],
)
def test_a_file_of_a_newer_version_or_edited_by_hand_is_told(edit: dict[str, Any], said: str, record: Record) -> None:
    document = {**json.loads(record.encode()), **edit}
    with pytest.raises(StorageError, match=said):
        decode_record(json.dumps(document).encode(), "x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": 601},
        {"refused": 601},
        {"doubtful": 10_000},
        {"confidence": 700.0},
        {"ink": [[600]]},
        {"ink": [[0] * 24] * 6},
        {"classes": [1]},
    ],
)
def test_counts_that_contradict_one_another_are_told(wrong: dict[str, Any], record: Record) -> None:
    edited = msgspec.structs.replace(record, first=msgspec.structs.replace(record.first, **wrong))
    with pytest.raises(StorageError, match="x is damaged"):
        # With a checksum that is right.
        decode_record(edited.encode(), "x")


def test_a_directory_stands_for_the_file_in_it(tmp_path: Path, record: Record) -> None:
    (tmp_path / FILE).write_bytes(record.encode())
    assert read_place(tmp_path) == read_record(tmp_path / FILE)
    with pytest.raises(UsageError, match="nowhere does not exist"):
        read_place(tmp_path / "nowhere")
    (tmp_path / "large").write_bytes(b" " * 2**20)
    with pytest.raises(StorageError, match="too large"):
        read_record(tmp_path / "large")


def test_counts_of_a_fleet_add_up(record: Record) -> None:
    other = after_a_week(800).record
    both = merge([("a", record), ("b", other)])
    assert both.first.images == 1_000
    assert both.recent.images == record.recent.images + other.recent.images
    assert np.array_equal(np.array(both.first.ink), np.add(record.first.ink, other.first.ink))
    assert both.first_complete
    assert both.golden == record.golden
    assert total(both.evidence) <= max(total(record.evidence), total(other.evidence))
    assert merge([("a", record)]) == record


def test_one_board_in_ten_is_heard(record: Record) -> None:
    tally = after_a_week()
    add(tally, bolder(images()[600:]))
    assert alarmed(merge([("bad", tally.record), *((str(n), record) for n in range(9))]).evidence)
    assert not alarmed(merge([(str(n), record) for n in range(10)]).evidence)


def test_counts_of_different_models_are_not_added(record: Record) -> None:
    other = msgspec.structs.replace(record, sha256="f" * 64, release="3-1f2e3d4c5b6a")
    with pytest.raises(
        UsageError, match=r"door has counts of a different model from kitchen: .*release 3-1f2e3d4c5b6a"
    ):
        merge([("kitchen", record), ("door", other)])


def test_what_was_refused_is_neither_sure_nor_doubtful() -> None:
    found = count(images()[:3], np.array([0.1, 0.5, 0.95]), np.array([-1, 2, 2]), 10, "2026")
    assert (found.images, found.refused, found.answered, found.doubtful) == (3, 1, 2, 1)
    assert found.confidence == pytest.approx(1.45)
    assert found.classes[2] == 2
    assert found.problem() == ""
    assert (Window.empty(10) + found) == found
