"""What is kept while answers go on, and that they go on whatever becomes of the store."""

import json
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.field.samples import CORRECTION, DISAGREEMENT, DOUBTFUL, REFUSED, UNIFORM
from edgemnist.field.samples import collector as module
from edgemnist.field.samples.collector import Collector, Kept
from edgemnist.field.samples.store import FILE, Quota, SampleStore
from edgemnist.ground.progress import Reporter
from edgemnist.model.exports import Exports
from tests.conftest import run_edgemnist
from tests.notices import Notices
from tests.patience import PATIENCE_S
from tests.samples.making import image_of, stored

LONG_AGO = 10**12
"""Answers after which the even draw takes none of the next few."""


def collecting(directory: Path, total: int = 500, reporter: Reporter | None = None) -> Collector:
    return Collector(directory, quota=Quota(total), artifact="tflite-int8", reporter=reporter or Reporter())


def doubt(keeping: Collector, answer: str | None = "1") -> str | None:
    keeping._seen = LONG_AGO
    return keeping.offer(image_of(1), source="a", answer=answer, confidence=0.1)


def sure(keeping: Collector) -> str | None:
    return keeping.offer(image_of(1), source="a", answer="1", confidence=0.99)


def asked_to_correct(keeping: Collector, label: str = "2", writer: str = "ann") -> Future[Kept]:
    return keeping.correct(image_of(5), label, writer=writer, source="e", answer="5", confidence=0.99)


def correct(keeping: Collector, label: str = "2", writer: str = "ann") -> Kept:
    return asked_to_correct(keeping, label, writer).result(PATIENCE_S)


def test_what_is_sure_is_kept_in_the_even_draw_only_and_the_rest_by_its_reason(tmp_path: Path) -> None:
    with collecting(tmp_path, 10) as keeping:
        # The draw of two is full after these.
        assert [sure(keeping) for _ in range(2)] == [UNIFORM] * 2
        keeping._seen = LONG_AGO
        assert sure(keeping) is None
        assert doubt(keeping) == DOUBTFUL
    with collecting(tmp_path, 500) as keeping:
        assert doubt(keeping, None) == REFUSED
        assert keeping.offer(image_of(4), source="d", answer="4", confidence=1, disputed=True) == DISAGREEMENT
        assert correct(keeping, "6") is Kept.STORED
    with SampleStore.open(tmp_path) as store:
        found = store.samples()
        assert store.seen() == LONG_AGO + 2
    assert Counter(one.reason for one in found) == {UNIFORM: 2, DOUBTFUL: 1, REFUSED: 1, DISAGREEMENT: 1, CORRECTION: 1}
    assert (found[-1].label, found[-1].labels[0].writer) == ("6", "ann")


def test_a_day_and_a_class_leave_room_for_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = "2026-11-26"
    monkeypatch.setattr(module, "now", lambda: f"{day}T12:00:00.000Z")
    for _ in range(2):
        # Another process goes on from what is in the store.
        with collecting(tmp_path) as keeping:
            for answer in "1" * 12 + "234" * 20:
                doubt(keeping, answer)
                while keeping._waiting.qsize():
                    time.sleep(0.001)
            assert doubt(keeping, "9") is None
    with SampleStore.open(tmp_path) as store:
        kept = Counter(one.answer for one in store.samples())
    assert (kept["1"], kept.total(), Quota().day_and_class, Quota().day) == (8, 25, 8, 25)
    day = "2026-11-27"
    with collecting(tmp_path) as keeping:
        assert doubt(keeping, "1") == DOUBTFUL


def test_several_processes_keep_the_limit_together(tmp_path: Path) -> None:
    keepers = [collecting(tmp_path, 10) for _ in range(3)]
    for keeping in keepers:
        for _ in range(30):
            sure(keeping)
            keeping.offer(image_of(1), source="a", answer="2", confidence=0.2)
            asked_to_correct(keeping)
            keeping.offer(image_of(1), source="a", answer="1", confidence=1, disputed=True)
    for keeping in keepers:
        keeping.close()
    with SampleStore.open(tmp_path) as store:
        assert len(store.samples()) <= 10


def test_an_unwritable_directory_costs_one_notice_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "samples"
    place.write_text("a file in its place")
    notices = Notices()
    with collecting(place, reporter=notices) as keeping:
        # More than a day has room for: what is not kept takes none of it.
        for _ in range(10):
            assert doubt(keeping) is None
            assert correct(keeping) is Kept.UNUSABLE
        assert not keeping.keeps
        (said,) = notices.messages
        assert said.startswith("No samples are kept at the moment: ")
        # Somebody looks after it; the service goes on as it is.
        place.unlink()
        monkeypatch.setattr(module, "RETRY_S", 0.0)
        keeping._again = 0.0
        doubt(keeping)
        assert correct(keeping) is Kept.STORED
        assert keeping.keeps
        assert doubt(keeping) == DOUBTFUL
    assert notices.messages[1:] == ["Samples are kept again; 20 samples were not kept."]
    with SampleStore.open(place) as store:
        assert [one.reason for one in store.samples()] == [DOUBTFUL, CORRECTION, DOUBTFUL]


@pytest.mark.parametrize("how", ["deleted", "moved", "moved and back"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(how: str, tmp_path: Path) -> None:
    place, notices = tmp_path / "samples", Notices()
    with collecting(place, reporter=notices) as keeping:
        assert correct(keeping, "1") is Kept.STORED
        if how == "deleted":
            shutil.rmtree(place)
        else:
            place.rename(tmp_path / "away")
        if how == "moved and back":
            (tmp_path / "away").rename(place)
        assert correct(keeping, "2") is Kept.STORED
        assert correct(keeping, "3") is Kept.STORED
        back = how == "moved and back"
        said = f"{place / FILE} was moved or deleted while it was in use; a new store is begun there."
        assert notices.messages == ([] if back else [said])
        assert [one.label for one in stored(place)] == (["1", "2", "3"] if back else ["2", "3"])
        # Where no store can be made, either.
        shutil.rmtree(place)
        place.touch()
        assert correct(keeping, "4") is Kept.UNUSABLE
    if how == "moved":
        assert [one.label for one in stored(tmp_path / "away")] == ["1"]


def test_disagreements_are_kept_on_a_day_that_is_full_of_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 1000)
    with collecting(tmp_path) as keeping:
        doubted = [doubt(keeping, str(number % 10)) for number in range(300)]
        assert doubted.count(DOUBTFUL) == Quota().day
        # Nothing is drawn evenly any more.
        keeping._seen = LONG_AGO
        for number in range(70):
            told = keeping.offer(image_of(number), source="a", answer="1", confidence=0.99, disputed=True)
            assert told == DISAGREEMENT
    with SampleStore.open(tmp_path) as store:
        found = Counter(one.reason for one in store.samples())
    assert found == {DOUBTFUL: Quota().day, DISAGREEMENT: Quota().of(DISAGREEMENT)}


def slow_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let nothing be stored until the event that is returned is set."""
    ready, add = threading.Event(), SampleStore.add

    def slow(*arguments: Any, **named: Any) -> int | None:
        ready.wait(PATIENCE_S)
        return add(*arguments, **named)

    monkeypatch.setattr(SampleStore, "add", slow)
    return ready


def test_answers_wait_for_no_disk_and_what_is_lost_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = slow_disk(monkeypatch)
    with collecting(tmp_path, 5000) as keeping:
        kept = [doubt(keeping, None) for _ in range(Quota(5000).day + 1)]
        assert kept.count(REFUSED) in {module.WAITING, module.WAITING + 1}
        ready.set()
        while keeping._waiting.qsize():
            time.sleep(0.001)
        assert doubt(keeping, None) == REFUSED
    assert len(stored(tmp_path)) == kept.count(REFUSED) + 1


def test_a_correction_is_kept_once_it_is_stored_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = slow_disk(monkeypatch)
    with collecting(tmp_path) as keeping:
        first, second, third = (asked_to_correct(keeping, label) for label in "234")
        assert not first.done()
        # Nobody waits for this one any longer.
        assert third.cancel()
        ready.set()
        assert [one.result(PATIENCE_S) for one in (first, second)] == [Kept.STORED] * 2
    assert [one.label for one in stored(tmp_path)] == ["2", "3"]


def test_once_a_full_disk_has_room_again_samples_are_kept_again(tmp_path: Path) -> None:
    notices = Notices()
    with collecting(tmp_path, reporter=notices) as keeping:
        assert correct(keeping, "0") is Kept.STORED
        assert keeping._store is not None
        keeping._store._connection.execute("PRAGMA max_page_count = 12")
        told = [correct(keeping, str(number)) for number in range(1, 40)]
        count = told.count(Kept.STORED)
        assert told == [Kept.STORED] * count + [Kept.UNUSABLE] * (39 - count)
        (said,) = notices.messages
        assert "the disk is full" in said
        # The even draw is not made from what could not be kept.
        before = keeping._seen
        keeping._seen += 500
        keeping._store._connection.execute("PRAGMA max_page_count = 1200")
        assert correct(keeping, "40") is Kept.STORED
        assert notices.messages[1:] == [f"Samples are kept again; {39 - count} samples were not kept."]
        assert keeping._seen == before
        assert sure(keeping) == UNIFORM
    assert [one.label for one in stored(tmp_path)] == [*map(str, range(count + 1)), "40", None]


def test_corrections_are_shared_among_clients_and_none_pays_for_another(tmp_path: Path) -> None:
    with collecting(tmp_path, 60) as keeping:
        assert Quota(60).of(CORRECTION) == 12
        given = [(writer, correct(keeping, writer=writer)) for writer in "aaaaaaaaaaaaaabbbbbbbbcccccccdddddde"]
        with SampleStore.open(tmp_path) as store:
            held = Counter(one.labels[0].writer for one in store.samples())
        # Whoever comes late has as much as those before.
        assert held == {"a": 2, "b": 3, "c": 3, "d": 3, "e": 1}
        refused = Counter(writer for writer, kept in given if kept is Kept.SPENT)
        assert refused == {"a": 2, "b": 2, "c": 3, "d": 3}
        # What somebody else has confirmed is in the archive.
        with SampleStore.open(tmp_path) as store:
            for one in store.samples():
                store.label(one.id, one.label, "reviewer")
        assert correct(keeping, writer="a") is Kept.STORED
        assert len(stored(tmp_path)) == 13


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Thirty evaluation images, as files."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(Exports.open("reference").read_golden().images[:30]):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


def test_a_batch_is_kept_by_its_rules_pixel_for_pixel(pictures: Path, tmp_path: Path) -> None:
    words = ("--exports", "reference", "--collect", "samples", "--collect-max", "10", "--json")
    done = run_edgemnist("predict", pictures, *words, cwd=tmp_path)
    assert run_edgemnist("predict", *words, "--index", "31", cwd=tmp_path).returncode == 2
    assert done.returncode == 0, done.stderr
    best = Exports.open("reference").best().model.name
    answers = {one["source"]: one for one in json.loads(done.stdout)["predictions"]}
    with SampleStore.open(tmp_path / "samples") as store:
        found = store.samples()
        assert store.seen() <= 30
    # The even draw of a limit of ten is two; of the others none is doubtful enough.
    assert [one.reason for one in found if one.reason == UNIFORM] == [UNIFORM] * 2
    assert all(one.confidence < 0.9 or one.reason == UNIFORM for one in found)
    for one in found:
        assert np.array_equal(one.image, np.asarray(Image.open(one.source)))
        assert one.answer == str(answers[one.source]["digit"])
        assert one.confidence == pytest.approx(answers[one.source]["confidence"])
        assert (one.artifact, one.release) == (best, None)
