"""Ctrl-C stops a deployment before the switch, lets a switch come to its end, and says which of the two it was."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgemnist.fleet.deploy.run import LocalBundle
from tests.deploy.loopback import LoopbackBoard, Sshd, descendants, processes_with, the_next_try_succeeds
from tests.patience import PATIENCE_S, comes_true


class Command:
    """`edgemnist` in a process group of its own, as a terminal runs it."""

    def __init__(self, board: LoopbackBoard, *words: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgemnist", *words, "--json"],
            env={**os.environ, **board.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def wait_until(self, line: str) -> None:
        assert self._process.stderr is not None
        while not self.said.endswith(f"{line}\n"):
            read = self._process.stderr.readline()
            assert read, self.said
            self.said += read

    def press(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to all of its group, as Ctrl-C does."""
        os.killpg(self._process.pid, number)

    def end(self) -> tuple[int, str]:
        output, errors = self._process.communicate(timeout=PATIENCE_S)
        self.said += errors
        return self._process.returncode, output


def self_tests(board: LoopbackBoard) -> list[int]:
    return processes_with("edgemnist.selftest", str(board.store.staging))


@pytest.mark.parametrize("step", ["preflight", "transfer", "self-test"])
def test_before_the_switch_it_stops(step: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    command = Command(board, "deploy", new_bundle.path, "--to", board.name)
    command.wait_until(f"board: {step}")
    if step == "self-test":
        assert comes_true(lambda: self_tests(board))
        os.kill(self_tests(board)[0], signal.SIGSTOP)
    command.press()
    code, output = command.end()
    assert code == 130
    lines = command.said.splitlines()
    assert "board: stopping" in lines
    assert lines[-2:] == ["board: failed", "interrupted"]
    document = json.loads(output)
    assert document["interrupted"]
    fault = document["boards"][0]["fault"]
    assert fault["type"] == "StoppedError"
    # Said here, or by the board where its own work had begun.
    assert any(words in fault["message"] for words in ("was left unchanged", "previous release is still serving"))
    assert board.serves() == old
    assert not self_tests(board)
    assert not list(board.store.staging.iterdir())
    assert [release.name for release in board.store.releases()] == [f"1-{old}"]
    the_next_try_succeeds(board, new_bundle)


def test_an_installation_stops_with_all_it_has_started(board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    # It has its own packages now, of which none are there.
    installed = board.store.venvs.readlink()
    board.store.venvs.unlink()
    command = Command(board, "deploy", new_bundle.path, "--to", board.name)
    command.wait_until("board: install")
    assert comes_true(lambda: processes_with("ensurepip", str(board.store.venvs)))
    command.press()
    assert command.end()[0] == 130
    assert not processes_with(str(board.store.venvs))
    assert not list(board.store.venvs.iterdir())
    board.store.venvs.rmdir()
    board.store.venvs.symlink_to(installed)
    assert board.serves() == old


def waiting_service(board: LoopbackBoard) -> Path:
    """Give a board a service whose restart waits for a file, which is returned; then it notes what it serves."""
    go, note = board.root.parent / "go", board.root.parent / "served.json"
    script = (
        f"until [ -e {go} ]; do sleep 0.05; done; "
        f"""printf '{{"release": "%s"}}' "$(basename "$(readlink {board.root}/current)")" > {note}"""
    )
    settings = f"[service]\nrestart = {json.dumps(['sh', '-c', script])}\nhealth = 'file://{note}'\n"
    (board.root / "board.toml").write_text(settings)
    return go


@contextlib.contextmanager
def interrupted_at_the_service(board: LoopbackBoard, bundle: LocalBundle) -> Iterator[tuple[Command, Path]]:
    """Press Ctrl-C while a service restarts, and give the command, and the file for which the restart waits."""
    go = waiting_service(board)
    command = Command(board, "deploy", bundle.path, "--to", board.name)
    command.wait_until("board: service")
    command.press()
    command.wait_until("board: stopping")
    yield command, go


def test_a_begun_switch_comes_to_its_end_and_is_told(board: LoopbackBoard, new_bundle: LocalBundle, new: str) -> None:
    with interrupted_at_the_service(board, new_bundle) as (command, go):
        go.touch()
        code, output = command.end()
    assert code == 130
    assert json.loads(output)["boards"][0]["status"] == "deployed"
    assert board.serves() == new


def test_pressed_again_it_waits_no_longer_and_says_that_the_board_goes_on(
    board: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
    with interrupted_at_the_service(board, new_bundle) as (command, go):
        command.press()
        code, output = command.end()
        assert code == 130
        assert "will finish it by itself" in json.loads(output)["boards"][0]["fault"]["message"]
        go.touch()
        assert comes_true(lambda: board.store.pending() is None)
    assert board.serves() == new


def test_no_further_board_is_begun(new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle) -> None:
    first, second = new_board("board1"), new_board("board2")
    command = Command(
        first, "deploy", new_bundle.path, "--to", first.name, "--to", second.name, "--parallel", "1", "--canary", "1"
    )
    command.wait_until("board1: preflight")
    command.press()
    code, output = command.end()
    assert code == 130
    boards = json.loads(output)["boards"]
    assert [board["status"] for board in boards] == ["failed", "skipped"]
    assert boards[1]["fault"]["message"] == "board2 was skipped: the deployment was interrupted"
    assert first.serves() is None


@pytest.mark.parametrize(("number", "boards"), [(signal.SIGINT, ["board", "board2"]), (signal.SIGKILL, ["board"])])
def test_no_board_goes_on_measuring_for_nobody(number: signal.Signals, boards: list[str], board: LoopbackBoard) -> None:
    def measuring() -> list[int]:
        return processes_with("edgemnist.pipeline.bench.worker", str(board.root))

    on = [word for name in boards for word in ("--on", name)]
    command = Command(board, "bench", "tflite-int8", *on, "--seconds", "600")
    assert comes_true(measuring)
    command.press(number)
    code, _ = command.end()
    assert code == (130 if number == signal.SIGINT else -number)
    assert comes_true(lambda: not processes_with(str(board.root)))


def test_a_board_that_takes_no_notice_holds_nobody(board: LoopbackBoard, sshd: Sshd) -> None:
    command = Command(board, "bench", "tflite-int8", "--on", "board", "--seconds", "600")
    assert comes_true(lambda: processes_with("edgemnist.pipeline.bench.worker", str(board.root)))
    halted = descendants(sshd.pid)
    for process in halted:
        os.kill(process, signal.SIGSTOP)
    try:
        command.press()
        assert command.end()[0] == 130
    finally:
        for process in halted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
