"""`kill -9` in the middle of `edgemnist review`: every label that was taken is there afterwards, once."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemnist.field.samples.store import SampleStore
from tests.killing import Program
from tests.review.near import LABELS, TAKEN
from tests.review.test_order import drawn
from tests.sweeping import swept

pytestmark = pytest.mark.all

SAMPLES = 10
KILLS = (4, 12)
"""Kills of each kind of work: a few, and those of a sweep."""


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
        return [(one.answer, [row.label for row in one.rows]) for one in store.samples()]


def begin_again(place: Path, before: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(before, place)


def drawn_steps(steps: list[str], seed: str, kills: int) -> list[int]:
    """Return the numbers of the steps to be killed at: the first and the last that change something, and others."""
    changing = [number for number, step in enumerate(steps, 1) if not step.startswith(("SQL SELECT", "SQL PRAGMA"))]
    ends = {changing[0], changing[-1]}
    others = sorted(set(changing) - ends)
    return sorted(ends | set(random.Random(seed).sample(others, min(len(others), kills - len(ends)))))


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
