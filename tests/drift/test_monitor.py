"""Counting beside the answering, and what becomes of a file that cannot be used."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgemnist.drift import monitor as module
from edgemnist.drift import read_record
from edgemnist.drift.monitor import BEFORE, BLOCK, Monitor, Tally
from tests.drift.making import FIRST_DAY, LAST_DAY, add, after_a_week, answering, images
from tests.notices import Notices


def counting(path: Path, notices: Notices | None = None) -> Monitor:
    return Monitor(path, answering, patient=True, reporter=notices or Notices())


def test_what_is_seen_is_in_the_file_and_counting_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "health.json"
    for round_ in (1, 2):
        with counting(path) as monitor:
            monitor.see(images()[:100], [0.99] * 99 + [0.5], [4] * 99 + [-1])
        record = read_record(path)
        assert record.lately.images == 100 * round_
        assert record.lately.refused == round_
        assert record.lately.classes[4] == 99 * round_
        assert record.golden is not None
        assert (record.golden.images, record.golden_errors) == (1_000, 3)


def test_the_first_week_takes_a_week_and_enough_images() -> None:
    tally = Tally(answering())
    add(tally, images()[:499], FIRST_DAY)
    add(tally, images()[:1], "2026-11-08T07:59:59.000Z")
    assert not tally.record.first_complete
    add(tally, images()[:1], LAST_DAY)
    assert tally.record.first_complete
    add(tally, images()[:1], LAST_DAY)
    assert tally.record.first.images == 501
    short = Tally(answering())
    add(short, images()[:499], FIRST_DAY)
    add(short, images()[:1], FIRST_DAY)
    assert not short.record.first_complete


def test_of_late_are_the_two_latest_blocks() -> None:
    tally = after_a_week(600)
    assert (tally.record.before.images, tally.record.lately.images) == (BLOCK, 100)
    add(tally, images()[: 2 * BLOCK])
    assert tally.record.recent.images == BLOCK + 100
    assert tally.record.first.images == 500


def test_counts_of_another_model_are_kept_aside(tmp_path: Path) -> None:
    path, notices = tmp_path / "health.json", Notices()
    with counting(path) as monitor:
        monitor.see(images()[:7], [0.99] * 7, [1] * 7)
    other = msgspec.structs.replace(answering(), sha256="0" * 64)
    with Monitor(path, lambda: other, reporter=notices) as monitor:
        monitor.see(images()[:2], [0.99] * 2, [1] * 2)
    assert read_record(path).lately.images == 2
    assert read_record(tmp_path / BEFORE).lately.images == 7
    assert "another model" in " ".join(notices.messages)


@pytest.mark.parametrize("contents", [b"", b"{}", b'{"application": "edgemnist-health", "version": 9}'])
def test_a_file_that_cannot_be_used_stays_and_answers_go_on(contents: bytes, tmp_path: Path) -> None:
    path, notices = tmp_path / "health.json", Notices()
    path.write_bytes(contents)
    with counting(path, notices) as monitor:
        for _ in range(3):
            monitor.see(images()[:1_000], [0.99] * 1_000, [1] * 1_000)
    assert not monitor.counts
    assert path.read_bytes() == contents
    assert " ".join(notices.messages).count("not counted from now on") == 1


def test_a_disk_that_takes_nothing_costs_one_notice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    notices = Notices()
    with counting(tmp_path / "file" / "health.json", notices) as monitor:
        monitor.see(images()[:5], [0.99] * 5, [1] * 5)
    assert " ".join(notices.messages).count("not counted from now on") == 1


def test_what_comes_too_fast_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 10)
    with Monitor(tmp_path / "health.json", answering) as monitor:
        monitor.see(images(), [0.99] * 1_000, [1] * 1_000)
    assert 10 <= read_record(tmp_path / "health.json").lately.images < 1_000
