"""Counts and samples of a board over ssh: `health --on` and `review --on`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgemnist.app import app
from edgemnist.errors import DeployError
from edgemnist.field.learn.cli import fetch
from edgemnist.field.review.run import copy_of, review_on
from edgemnist.field.samples import OBJECTOR, samples_on, to_review
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.results.samples import Contradiction, LearnResult
from edgemnist.model.answers import HEALTH_FILE
from edgemnist.model.exports import REFERENCE
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard
from tests.drift.making import after_a_week
from tests.learn.test_present import result_of
from tests.notices import Notices
from tests.samples.making import sample_of


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Samples on the board."""
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        for digit in range(5):
            store.add(sample_of(digit))
    (tmp_path / "samples" / HEALTH_FILE).write_bytes(after_a_week(520).record.encode())
    return tmp_path / "samples"


def label_first(store: SampleStore) -> None:
    store.label(store.samples()[0].id, "7", "ann")


def test_labels_that_are_given_here_are_there_in_the_end(board: LoopbackBoard, samples: Path) -> None:
    assert review_on(board.target, str(samples), label_first, Notices()) == 1
    with SampleStore.open(samples) as store:
        assert [one.label for one in store.samples()] == ["7", None, None, None, None]
    assert not copy_of(board.target, str(samples)).exists()


def test_labels_survive_a_board_that_is_gone_when_they_are_sent(board: LoopbackBoard, samples: Path) -> None:
    hidden = board.root / "elsewhere"

    def labels_and_loses_the_board(store: SampleStore) -> None:
        label_first(store)
        (board.root / "current").rename(hidden)
        raise KeyboardInterrupt

    with pytest.raises(DeployError, match="no current release"):
        review_on(board.target, str(samples), labels_and_loses_the_board, Notices())
    assert copy_of(board.target, str(samples)).exists()
    hidden.rename(board.root / "current")
    notices = Notices()
    assert review_on(board.target, str(samples), lambda _: None, notices) == 1
    assert "not sent before" in notices.messages[0]
    assert [bool(one.labels) for one in samples_on(board.target, str(samples))] == [True, False, False, False, False]


def test_the_health_of_boards_is_one_report(board: LoopbackBoard, samples: Path, tmp_path: Path) -> None:
    words = ("--root", str(board.root), "--ssh-config", str(board.ssh_config), "--samples", str(samples), "--json")
    done = run_edgemnist("health", "--on", "board", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [one["host"] for one in document["boards"]] == ["board"]
    assert document["lately"]["images"] == 520
    # One that is away costs its own row.
    done = run_edgemnist("health", "--on", "board", "--on", "a.invalid", *words, cwd=tmp_path)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["lately"]["images"] == 520
    assert [bool(one["fault"]) for one in document["boards"]] == [False, True]
    (samples / HEALTH_FILE).write_bytes(b"{}")
    done = run_edgemnist("health", "--on", "board", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "has no counts of answers" in " ".join(done.stderr.split())


def test_samples_of_a_board_are_learnt_from_here(board: LoopbackBoard, samples: Path, tmp_path: Path) -> None:
    place = tmp_path / "fetched"
    fetch([board.target], samples, place)
    with SampleStore.open(place) as store:
        assert len(store.samples()) == 5
    words = ("--root", str(board.root), "--ssh-config", str(board.ssh_config), "--samples", str(samples))
    done = run_edgemnist("learn", "--on", "board", *words, "--forget", "eve", cwd=tmp_path)
    assert done.returncode == 2
    assert "--on cannot be used with --forget" in " ".join(done.stderr.split())


def test_labels_that_look_wrong_are_doubted_on_the_board_too_and_told_even_if_it_is_gone(
    board: LoopbackBoard, samples: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEMNIST_CACHE", str(cache))
    with SampleStore.open(samples) as store:
        for one in store.samples():
            store.label(one.id, "7", "ann")

    def doubts(_exports: object, store: SampleStore, *_: object) -> LearnResult:
        for one in store.samples():
            if one.answer in {"1", "3"} and not one.disputed:
                store.label(one.id, one.answer, OBJECTOR)
        wrong = Contradiction(sample=1, label="7", neighbours="1", writers=["ann"])
        return result_of(contradictions=[wrong], doubted=2)

    shown = list[LearnResult]()
    monkeypatch.setattr("edgemnist.field.learn.run.learn", doubts)
    monkeypatch.setattr("edgemnist.field.learn.cli.show", lambda result, *_, **__: shown.append(result))
    words = ["--root", str(board.root), "--ssh-config", str(board.ssh_config), "--samples", str(samples)]
    words += ["--exports", REFERENCE, "--offline", "--json"]
    # What was sent is fetched again, and is not sent twice.
    for _ in range(2):
        done = CliRunner().invoke(app, ["learn", "--on", "board", *words])
        assert done.exit_code == 1, done.output
        rows = [[(row.label, row.writer) for row in one.rows] for one in samples_on(board.target, str(samples))]
        ann = ("7", "ann")
        assert rows == [[ann], [ann, ("1", OBJECTOR)], [ann], [ann, ("3", OBJECTOR)], [ann]]
    with SampleStore.open(samples) as store:
        assert [one.answer for one in to_review(store.samples())] == ["1", "3"]

    def doubts_and_loses_the_board(*words: Any) -> LearnResult:
        samples.rename(tmp_path / "elsewhere")
        return doubts(*words)

    monkeypatch.setattr("edgemnist.field.learn.run.learn", doubts_and_loses_the_board)
    done = CliRunner().invoke(app, ["learn", "--on", "board", *words])
    assert done.exit_code == 2
    assert len(shown) == 3
