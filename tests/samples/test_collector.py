"""What is kept while answers go on, and that they go on whatever becomes of the store."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections import Counter
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgemnist.progress import Reporter
from edgemnist.samples import CORRECTION, DISAGREEMENT, DOUBTFUL, REFUSED, UNIFORM
from edgemnist.samples import collector as module
from edgemnist.samples.collector import Collector
from edgemnist.samples.quota import Quota
from edgemnist.samples.store import FILE, SampleStore
from tests.samples.making import image_of


class Notices(Reporter):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def notice(self, message: str) -> None:
        """Remember a notice."""
        self.told.append(message)


def collecting(directory: Path, total: int = 500, reporter: Reporter | None = None) -> Collector:
    return Collector(directory, quota=Quota(total), artifact="tflite-int8", reporter=reporter or Reporter())


def test_what_is_sure_is_kept_in_the_even_draw_only_and_the_rest_by_its_reason(tmp_path: Path) -> None:
    with collecting(tmp_path, 10) as keeping:
        # The draw of two is full after these.
        assert [keeping.offer(image_of(1), source="a", answer="1", confidence=0.99) for _ in range(2)] == [UNIFORM] * 2
        keeping._reservoir._skip = 10
        assert keeping.offer(image_of(1), source="a", answer="1", confidence=0.99) is None
        assert keeping.offer(image_of(2), source="b", answer="2", confidence=0.4) == DOUBTFUL
    with collecting(tmp_path, 500) as keeping:
        keeping._reservoir._skip = 10**6
        keeping._reservoir.seen = 10**6
        assert keeping.offer(image_of(3), source="c", answer=None, confidence=0.4) == REFUSED
        assert keeping.offer(image_of(4), source="d", answer="4", confidence=1, reason=DISAGREEMENT) == DISAGREEMENT
        assert keeping.correct(image_of(5), "6", writer="ann", source="e", answer="5", confidence=0.99).result()
    with SampleStore.open(tmp_path) as store:
        found = store.samples()
        assert store.get_count("seen") == 10**6 + 2
    assert Counter(one.reason for one in found) == {UNIFORM: 2, DOUBTFUL: 1, REFUSED: 1, DISAGREEMENT: 1, CORRECTION: 1}
    assert found[-1].label == "6"
    assert found[-1].labels[0].writer == "ann"


@pytest.mark.slow
def test_ten_days_at_one_reading_a_second_stay_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(0)
    clock = datetime(2026, 10, 31, 23, tzinfo=UTC)
    monkeypatch.setattr(module, "now", lambda: clock.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    monkeypatch.setattr(module, "WAITING", 10_000)
    image = image_of(0)
    with collecting(tmp_path, 50) as keeping:
        for second in range(864_000):
            if second % 3600 == 0:
                clock += timedelta(hours=1)
            doubtful = rng.random() < 0.02
            # A 1 that is always doubtful, for half of all.
            answer = "1" if rng.random() < 0.5 else str(rng.randrange(10))
            keeping.offer(image, source="meter", answer=answer, confidence=0.5 if doubtful else 0.999)
        assert keeping.keeps
    with SampleStore.open(tmp_path) as store:
        found = store.samples()
        assert store.get_count("seen") > 700_000
    reasons = Counter(one.reason for one in found)
    assert reasons == {UNIFORM: 10, DOUBTFUL: 40}
    days = Counter(one.day for one in found if one.reason == DOUBTFUL)
    assert len(days) == 10
    assert max(days.values()) <= Quota(50).day
    assert len({one.answer for one in found if one.reason == DOUBTFUL}) >= 7
    # The even draw knows no days with more of it than others, and is not made of the first ones.
    assert len({one.day for one in found if one.reason == UNIFORM}) >= 4
    assert (tmp_path / FILE).stat().st_size < 50 * 2000 + 65_536


def test_several_processes_keep_the_limit_together(tmp_path: Path) -> None:
    keepers = [collecting(tmp_path, 10) for _ in range(3)]
    for keeping in keepers:
        for _ in range(30):
            keeping.offer(image_of(1), source="a", answer="1", confidence=0.99)
            keeping.offer(image_of(1), source="a", answer="2", confidence=0.2)
            keeping.correct(image_of(1), "2", writer="ann", source="a", answer="1", confidence=0.9)
    for keeping in keepers:
        keeping.close()
    with SampleStore.open(tmp_path) as store:
        assert len(store.samples()) <= 10


def test_a_directory_that_cannot_be_written_costs_one_notice_and_no_answer(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("a file in its place")
    notices = Notices()
    with collecting(tmp_path / "samples", reporter=notices) as keeping:
        for _ in range(5):
            assert keeping.offer(image_of(1), source="a", answer="1", confidence=0.1) is None
        assert not keeping.correct(image_of(1), "2", writer="ann", source="a", answer="1", confidence=0.1).result(0)
    assert len(notices.told) == 1
    assert notices.told[0].startswith("No samples are kept from now on: ")


def test_a_store_of_a_newer_version_costs_one_notice_and_stays_as_it_is(tmp_path: Path) -> None:
    SampleStore.open(tmp_path, create=True).close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    notices = Notices()
    with collecting(tmp_path, reporter=notices) as keeping:
        assert keeping.offer(image_of(1), source="a", answer="1", confidence=0.1) is None
    assert "has version 2" in notices.told[0]
    assert (tmp_path / FILE).read_bytes() == before


def test_a_disk_that_gets_full_costs_one_notice_and_what_was_kept_stays(tmp_path: Path) -> None:
    notices = Notices()
    with collecting(tmp_path, reporter=notices) as keeping:
        assert keeping._store is not None
        # As SQLite tells of a full disk, without filling one.
        keeping._store._connection.execute("PRAGMA max_page_count = 12")
        for number in range(40):
            keeping.offer(image_of(number), source="a", answer=str(number % 10), confidence=0.1)
    assert notices.told == [f"No samples are kept from now on: {tmp_path / FILE} cannot be used: the disk is full."]
    with SampleStore.open(tmp_path) as store:
        assert 0 < len(store.samples()) < 40


def test_answers_wait_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holding = threading.Event()
    add = SampleStore.add

    def slow(*arguments: Any, **named: Any) -> int | None:
        holding.wait(30)
        return add(*arguments, **named)

    monkeypatch.setattr(SampleStore, "add", slow)
    with collecting(tmp_path) as keeping:
        kept = [keeping.offer(image_of(1), source="a", answer="1", confidence=0.99) for _ in range(module.WAITING + 10)]
        assert kept.count(UNIFORM) in {module.WAITING, module.WAITING + 1}
        holding.set()
    with SampleStore.open(tmp_path) as store:
        assert len(store.samples()) == kept.count(UNIFORM)


def test_a_correction_is_kept_once_it_is_stored_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holding = threading.Event()
    add = SampleStore.add

    def slow(*arguments: Any, **named: Any) -> int | None:
        holding.wait(30)
        return add(*arguments, **named)

    def correct(keeping: Collector, label: str) -> Future[bool]:
        return keeping.correct(image_of(1), label, writer="ann", source="a", answer="1", confidence=0.9)

    monkeypatch.setattr(SampleStore, "add", slow)
    with collecting(tmp_path) as keeping:
        first, second, third = (correct(keeping, label) for label in "234")
        assert not first.done()
        # Nobody waits for this one any longer.
        assert third.cancel()
        holding.set()
        assert first.result(30)
        assert second.result(30)
        assert keeping._store is not None
        keeping._store._connection.execute("PRAGMA max_page_count = 12")
        told = [correct(keeping, "5").result(30) for _ in range(40)]
        assert True in told
        assert not told[-1]
    with SampleStore.open(tmp_path) as store:
        assert [one.label for one in store.samples()] == ["2", "3", *["5"] * told.count(True)]


def test_a_correction_that_labelled_samples_leave_no_room_for_is_told(tmp_path: Path) -> None:
    with collecting(tmp_path, 10) as keeping:
        for number in range(5):
            for _ in range(2):
                stored = keeping.correct(
                    image_of(1), "2", writer=f"client {number}", source="a", answer="1", confidence=0.9
                )
                assert stored.result(30) == (number < 4)
    with SampleStore.open(tmp_path) as store:
        assert len(store.samples()) == 8


def test_many_threads_offer_at_once(tmp_path: Path) -> None:
    with collecting(tmp_path, 500) as keeping:
        threads = [
            threading.Thread(
                target=lambda: [
                    keeping.offer(image_of(1), source="a", answer="1", confidence=0.999) for _ in range(500)
                ]
            )
            for _ in range(4)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert keeping._reservoir.seen == 2000
    assert os.listdir(tmp_path) == [FILE]  # noqa: PTH208 - all of it
