"""Counts and samples of a board over ssh: `health --on` and `review --on`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgemnist.deploy.remote import samples_on
from edgemnist.drift import FILE
from edgemnist.errors import DeployError
from edgemnist.learn.cli import fetch
from edgemnist.review.run import copy_of, review_on
from edgemnist.samples.store import SampleStore
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard
from tests.drift.making import after_a_week
from tests.notices import Notices
from tests.samples.making import sample_of
from tests.serve.service import Service, first_document


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Samples on the board."""
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        for digit in range(5):
            store.add(sample_of(digit))
    (tmp_path / "samples" / FILE).write_bytes(after_a_week(520).record.encode())
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


def test_labels_of_a_page_that_was_killed_are_sent_by_the_next_review(
    board: LoopbackBoard, samples: Path, tmp_path: Path
) -> None:
    there = ("--on", "board", "--root", str(board.root), "--ssh-config", str(board.ssh_config), "--as", "ann")
    command = [sys.executable, "-m", "edgemnist", "review", str(samples), *there, "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    service = Service(process, first_document(process))
    for number in (1, 2):
        answer = service.ask(f"/v1/samples/{number}", b'{"label": "7"}', kind="application/json")
        assert answer.status == 200
    process.kill()
    process.communicate()
    assert not any(one.labels for one in samples_on(board.target, str(samples)))
    review_on(board.target, str(samples), lambda _: None, Notices())
    labelled = [[row.label for row in one.labels] for one in samples_on(board.target, str(samples))]
    assert labelled == [["7"], ["7"], [], [], []]


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
    (samples / FILE).write_bytes(b"{}")
    done = run_edgemnist("health", "--on", "board", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "has no counts of answers" in " ".join(done.stderr.split())


def test_samples_of_a_board_are_learnt_from_here(board: LoopbackBoard, samples: Path, tmp_path: Path) -> None:
    place = tmp_path / "fetched"
    fetch(["board"], samples, place, root=str(board.root), ssh_config=board.ssh_config)
    with SampleStore.open(place) as store:
        assert len(store.samples()) == 5
    words = ("--root", str(board.root), "--ssh-config", str(board.ssh_config), "--samples", str(samples))
    done = run_edgemnist("learn", "--on", "board", *words, "--forget", "eve", cwd=tmp_path)
    assert done.returncode == 2
    assert "--on cannot be used with --forget" in " ".join(done.stderr.split())
