"""`kill -9` in the middle of `edgemnist review`: every label that was taken is there afterwards, once."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemnist.samples.store import SampleStore
from edgemnist.storage import ABANDONED_AFTER_S
from tests.deploy.loopback import free_port
from tests.killing import Program, answered_until_it_is_gone, state_of
from tests.review.near import LABELS, TAKEN
from tests.review.test_transfer import contents, drawn
from tests.sweeping import swept

pytestmark = pytest.mark.slow

SAMPLES = 10
KILLS = (4, 12)
"""Kills of each kind of work: a few, and those of a sweep."""
PAGE_STEPS = 60
"""The page is killed at one of its first steps after the store is open: ten labels or so."""


@pytest.fixture(params=swept(KILLS, kept=KILLS[:1]))
def kills(request: pytest.FixtureRequest) -> int:
    """How often the work is killed."""
    count: int = request.param
    return count


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with a sample of each digit."""
    with SampleStore.open(tmp_path / "place" / "samples", create=True) as store:
        for digit in range(SAMPLES):
            store.add(drawn(digit, 0))
    return tmp_path / "place"


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    with Program(Path(), "-m", "tests.killing", "tests.review.near") as started:
        yield started


Review = Callable[..., dict[str, Any]]


@pytest.fixture
def review(program: Program, kept: Path) -> Review:
    """Run the command in the directory of the store: `review("--import", "data", limit=7)`."""

    def run(*words: str | Path, limit: int = 0, **environment: str) -> dict[str, Any]:
        environment["EDGEMNIST_CACHE"] = str(kept / "cache")
        asked = ["review", kept / "samples", *words, "--as", "ann", "--json"]
        return program.run(root=str(kept), limit=limit, words=[*map(str, asked)], environment=environment)

    return run


def every_label(directory: Path) -> list[tuple[str | None, list[str | None]]]:
    """Return the answer to each sample and its labels, whether they count or not."""
    with SampleStore.open(directory) as store:
        return [(one.answer, [row.label for row in one.labels]) for one in store.sent()]


def begin_again(place: Path, before: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(before, place)


def drawn_steps(steps: list[str], seed: str, kills: int) -> list[int]:
    """Return the numbers of the steps to be killed at: the first and the last that change something, and others."""
    changing = [number for number, step in enumerate(steps, 1) if not step.startswith(("SQL SELECT", "SQL PRAGMA"))]
    ends = {changing[0], changing[-1]}
    others = sorted(set(changing) - ends)
    return sorted(ends | set(random.Random(seed).sample(others, min(len(others), kills - len(ends)))))


def test_what_the_page_has_answered_is_stored(program: Program, kept: Path, kills: int, tmp_path: Path) -> None:
    before = Path(shutil.copytree(kept, tmp_path / "before"))
    rng = random.Random(0)
    given = 0
    for _ in range(kills):
        begin_again(kept, before)
        port = free_port()
        words = ["review", str(kept / "samples"), "--port", str(port), "--as", "ann", "--json"]
        limit = 12 + rng.randrange(PAGE_STEPS)
        program.start(root=str(kept), limit=limit, words=words)
        asked = ((f"/v1/samples/{number}", {"label": str(number % 10)}) for number in itertools.count(1))
        taken = [body["label"] for body in answered_until_it_is_gone(program, port, asked)]
        killed = program.ended()
        assert killed["code"] == -9, killed["said"]
        found = [label for _, labels in every_label(kept / "samples") for label in labels]
        # Perhaps one more, which it did not live to answer.
        assert found[: len(taken)] == taken
        assert len(found) <= len(taken) + 1
        given += len(taken)
    assert given > kills


def test_an_import_goes_on_where_it_was_killed(review: Review, kept: Path, kills: int, tmp_path: Path) -> None:
    with SampleStore.open(kept / "samples") as store:
        for one in store.samples()[:6]:
            store.label(one.id, str(one.answer), "bob")
    data = tmp_path / "data"
    assert review("--export", data)["code"] == 0
    with SampleStore.open(kept / "samples") as store:
        store.forget("bob")
        # Samples that are there get the label only; the other half is new.
        for _ in range(3):
            store._connection.execute("DELETE FROM samples WHERE id = (SELECT min(id) FROM samples)")
    before = Path(shutil.copytree(kept, tmp_path / "before"))
    counted = review("--import", data)
    assert counted["code"] == 0, counted["said"]
    whole = contents(kept / "samples")
    assert len(whole) == 6
    for number in drawn_steps(counted["steps"], "import", kills):
        begin_again(kept, before)
        assert review("--import", data, limit=number)["code"] == -9
        assert len(every_label(kept / "samples")) >= SAMPLES - 3
        again = review("--import", data)
        assert again["code"] == 0, again["said"]
        assert contents(kept / "samples") == whole
        assert sum(len(labels) for _, labels in every_label(kept / "samples")) == 6


@pytest.mark.parametrize("options", [(), ("--idx",)])
def test_an_export_is_whole_or_not_there(
    options: tuple[str, ...], review: Review, kept: Path, kills: int, tmp_path: Path
) -> None:
    with SampleStore.open(kept / "samples") as store:
        for one in store.samples():
            store.label(one.id, str(one.answer), "ann")
            store.add(drawn(int(one.answer or 0), 1), most=None)
        for one in store.samples()[SAMPLES:]:
            store.label(one.id, str(one.answer), "ann")
    out = kept / "out"
    counted = review("--export", out, *options)
    assert counted["code"] == 0, counted["said"]
    whole = state_of(out)
    shutil.rmtree(out)
    renamed = next(number for number, step in enumerate(counted["steps"], 1) if step.startswith("os.rename"))
    before = Path(shutil.copytree(kept, tmp_path / "before"))
    # The last is killed before the rename: what it leaves is the most.
    for number in (*drawn_steps(counted["steps"], "export", kills)[:-1], renamed + 1, renamed):
        begin_again(kept, before)
        assert review("--export", out, *options, limit=number)["code"] == -9
        assert out.exists() == (number > renamed)
        assert not out.exists() or state_of(out) == whole
    (left,) = kept.glob(".tmp-*")
    os.utime(left, (0, time.time() - ABANDONED_AFTER_S - 1))
    assert review("--export", out, *options)["code"] == 0
    assert state_of(out) == whole
    assert {path.name for path in kept.iterdir()} == {"samples", "out"}


def test_labels_of_a_board_are_on_their_way_or_there(review: Review, kept: Path, kills: int, tmp_path: Path) -> None:
    before = Path(shutil.copytree(kept, tmp_path / "before"))
    counted = review("--on", "board", **{LABELS: "4"})
    assert counted["code"] == 0, counted["said"]
    assert not list((kept / "cache").glob("boards/*/*"))
    for number in drawn_steps(counted["steps"], "board", kills):
        where = f"step {number}, {counted['steps'][number - 1]}"
        begin_again(kept, before)
        assert review("--on", "board", limit=number, **{LABELS: "4"})["code"] == -9, where
        taken = (kept / TAKEN).read_text().split() if (kept / TAKEN).exists() else []
        # All of them, or none.
        assert sum(len(labels) for _, labels in every_label(kept / "samples")) in {0, *range(len(taken), 5)}, where
        again = review("--on", "board", **{LABELS: "0"})
        assert again["code"] == 0, f"{where}: {again['said']}"
        found = {answer: labels for answer, labels in every_label(kept / "samples") if labels}
        assert all(found[label] == [label] for label in taken), where
        assert found or "not sent before" not in again["said"], where
        assert len(found) <= len(taken) + 1, where
        assert len(every_label(kept / "samples")) == SAMPLES, where
        assert not list((kept / "cache").glob("boards/*/*")), where
