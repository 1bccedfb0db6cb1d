"""Counting beside the answering, and what becomes of a file that cannot be used."""

import time
from pathlib import Path

import msgspec
import pytest

from edgemnist.errors import StorageError
from edgemnist.field.drift import decode_record, read_record
from edgemnist.field.drift import monitor as module
from edgemnist.field.drift.monitor import BLOCK, Monitor, Tally
from edgemnist.field.samples import now
from edgemnist.ground.storage import write_file
from tests.drift.making import FIRST_DAY, LAST_DAY, add, after_a_week, answering, answers, images
from tests.notices import Notices


def counting(path: Path, notices: Notices | None = None) -> Monitor:
    return Monitor(path, answering, patient=True, reporter=notices or Notices())


def test_what_is_seen_is_in_the_file_and_counting_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "health.json"
    for round_ in (1, 2):
        with counting(path) as monitor:
            monitor.observe([*answers(images()[:99], 0.99, 4), *answers(images()[:1], 0.5, -1)])
        record = read_record(path)
        late = record.lately
        assert (late.images, late.refused, late.classes[4]) == (100 * round_, round_, 99 * round_)
        # What was refused is neither sure nor doubtful.
        assert (late.answered, late.doubtful) == (99 * round_, 0)
        assert late.confidence == pytest.approx(99 * round_ * 0.99)
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


def test_a_deployment_and_a_rollback_cost_no_model_its_first_week(tmp_path: Path) -> None:
    path, notices = tmp_path / "health.json", Notices()
    models = {name: msgspec.structs.replace(answering(), sha256=name * 64, release=f"1-{name}") for name in "abc"}

    def count(name: str, images_: int) -> int:
        with Monitor(path, lambda: models[name], patient=True, reporter=notices) as monitor:
            monitor.observe(answers(images()[:images_], 0.99, 1))
        record = read_record(path)
        assert (record.sha256, record.release) == (models[name].sha256, f"1-{name}")
        return record.first.images

    # a serves, b is deployed, a comes back, c is deployed, and both come back.
    assert [count(*one) for one in (("a", 7), ("b", 2), ("a", 1), ("c", 3), ("b", 1), ("a", 1))] == [7, 2, 8, 3, 3, 9]
    # Of a release, nothing that an earlier one could not read.
    assert b"resumed" not in path.read_bytes()
    assert "another model" in notices.messages[0]
    assert "starts from zero" in notices.messages[0]
    assert "goes on from what this model had counted before" in notices.messages[1]
    # Whoever deletes the file wants a new first week.
    path.unlink()
    assert count("a", 4) == 4


def test_what_version_0_1_0_kept_aside_is_gone_on_from(tmp_path: Path) -> None:
    old = after_a_week().record
    (tmp_path / "health-before.json").write_bytes(old.encode())
    (tmp_path / "health-damaged.json").write_bytes(b"{}")
    # Of two, the one that was counted last.
    older = Tally(answering())
    add(older, images()[:3], FIRST_DAY)
    (tmp_path / f"health-{old.sha256[:12]}.json").write_bytes(older.record.encode())
    other = msgspec.structs.replace(answering(), sha256="0" * 64)
    (tmp_path / "health.json").write_bytes(other.encode())
    before = now()
    with counting(tmp_path / "health.json") as monitor:
        monitor.observe(answers(images()[:1], 0.99, 1))
    record = read_record(tmp_path / "health.json")
    assert record.first == old.first
    # Samples of the model in between have the same name: the time tells them apart.
    assert record.release is None
    assert record.resumed is not msgspec.UNSET
    assert before <= record.resumed <= now()
    assert read_record(tmp_path / f"health-{'0' * 12}.json").sha256 == other.sha256


@pytest.mark.parametrize("contents", [b"", b'{"application": "edgemnist-health", "version": 9}', None])
def test_a_file_that_cannot_be_used_stays_and_answers_go_on(contents: bytes | None, tmp_path: Path) -> None:
    path, notices = tmp_path / "health.json", Notices()
    path.write_bytes(b"a file where a directory should be" if contents is None else contents)
    before = path.read_bytes()
    with counting(path if contents is not None else path / "health.json", notices) as monitor:
        for _ in range(3):
            monitor.observe(answers(images(), 0.99, 1))
    assert not monitor.counts
    assert path.read_bytes() == before
    assert " ".join(notices.messages).count("not counted from now on") == 1


def test_counting_goes_on_while_the_disk_is_full_and_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, notices, refused = tmp_path / "health.json", Notices(), list[Path]()

    def write(place: Path, data: bytes) -> None:
        if len(refused) < 2:
            refused.append(place)
            raise StorageError(f"{place} cannot be written: No space left on device")
        write_file(place, data)

    monkeypatch.setattr(module, "SAVE_S", 0.0)
    monkeypatch.setattr(module, "write_file", write)
    with counting(path, notices) as monitor:
        monitor.observe(answers(images()[:10], 0.99, 1))
        while len(refused) < 2:
            time.sleep(0.001)
        monitor.observe(answers(images()[10:30], 0.99, 1))
    assert read_record(path).recent.images == 30
    said = " ".join(notices.messages)
    assert (said.count("kept in memory until they can be written"), said.count("written again")) == (1, 1)


def test_what_comes_too_fast_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 10)
    with Monitor(tmp_path / "health.json", answering) as monitor:
        monitor.observe(answers(images(), 0.99, 1))
    record = read_record(tmp_path / "health.json")
    counted, missed = record.recent.images, sum(record.missed)
    assert 10 <= counted < 1_000
    # Every image is counted, or counted as not counted.
    assert counted + missed == 1_000


def test_what_was_not_counted_goes_with_its_block() -> None:
    tally = Tally(answering())
    # As an earlier version wrote it, which reads no field that it does not know.
    assert b"uncounted" not in tally.record.encode()
    tally.miss(7)
    assert decode_record(tally.record.encode(), "health.json").missed == [0, 7]
    for missed in ([7, 0], [0, 0]):
        add(tally, images()[:BLOCK])
        add(tally, images()[:1])
        assert tally.record.missed == missed
    assert b"uncounted" not in tally.record.encode()
