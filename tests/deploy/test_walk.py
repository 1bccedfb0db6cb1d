"""What a board misreads is corrected with a finger, learnt, tried in the shadow and promoted; then it is read right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.deploy.answering import answering
from tests.deploy.loopback import LoopbackBoard
from tests.walk import Reached, Writer, walk


# The longest of all tests: its steps have tests of their own, and `make test-pi` goes the same way on a Raspberry Pi.
@pytest.mark.sweep
def test_from_twenty_wrong_answers_to_a_release_that_gives_the_right_ones(
    new_board: Callable[[str], LoopbackBoard], cache: Path, tmp_path: Path, browser: Chrome
) -> None:
    board = new_board("board")
    samples = tmp_path / "samples"
    words = ("--root", str(board.root), "--ssh-config", str(board.ssh_config))
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    desk = Reached(
        name="board", words=words, address="", samples=samples, directory=tmp_path, environment=environment
    )  # fmt: skip
    desk.run("bundle", "tflite-int8", "--serve", "--exports", "reference", "--output", "present.zip")
    desk.run("deploy", "present.zip", "--to", "board", *words)
    with answering(board.root, "supervisor.py", "--collect", samples, timeout_s=30) as address:
        walk(Reached(**{**vars(desk), "address": address}), browser, Writer())
