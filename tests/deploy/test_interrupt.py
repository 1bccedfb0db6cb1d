"""Ctrl-C stops a deployment before the switch, lets a switch come to its end, and says which of the two it was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgemnist.deploy.run import LocalBundle
from tests.deploy.answering import wait_for
from tests.deploy.loopback import LoopbackBoard, processes_with
from tests.deploy.trying import the_next_try_succeeds


class Command:
    """`edgemnist` in a process group of its own, as a terminal runs it."""

    def __init__(self, board: LoopbackBoard, *words: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgemnist", *words, "--json"],
            env={**os.environ, "EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def wait_until(self, line: str) -> None:
        """Wait until it tells this on stderr."""
        assert self._process.stderr is not None
        while not self.said.endswith(f"{line}\n"):
            read = self._process.stderr.readline()
            assert read, self.said
            self.said += read

    def press(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to all of its group, as Ctrl-C does."""
        os.killpg(self._process.pid, number)

    def end(self) -> tuple[int, str]:
        """Return its exit code and its stdout."""
        output, errors = self._process.communicate(timeout=60)
        self.said += errors
        return self._process.returncode, output


def self_tests(board: LoopbackBoard) -> list[int]:
    return processes_with("edgemnist.selftest", str(board.store.staging))


def halt_self_test(board: LoopbackBoard) -> None:
    wait_for(lambda: self_tests(board))
    os.kill(self_tests(board)[0], signal.SIGSTOP)


@pytest.mark.parametrize("step", ["connect", "preflight", "transfer", "self-test"])
def test_before_the_switch_it_stops(
    step: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str, request: pytest.FixtureRequest
) -> None:
    if step == "self-test":
        request.getfixturevalue("real_self_tests")
    command = Command(board, "deploy", new_bundle.path, "--to", board.name)
    command.wait_until(f"board: {step}")
    if step == "self-test":
        halt_self_test(board)
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


def test_an_installation_is_stopped_with_all_that_it_has_started(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    # It has its own packages now, of which none are there.
    installed = board.store.venvs.readlink()
    board.store.venvs.unlink()
    command = Command(board, "deploy", new_bundle.path, "--to", board.name)
    command.wait_until("board: install")
    wait_for(lambda: processes_with("ensurepip", str(board.store.venvs)))
    command.press()
    assert command.end()[0] == 130
    assert not processes_with(str(board.store.venvs))
    assert not list(board.store.venvs.iterdir())
    board.store.venvs.rmdir()
    board.store.venvs.symlink_to(installed)
    assert board.serves() == old


@contextlib.contextmanager
def interrupted_at_the_service(board: LoopbackBoard, bundle: LocalBundle) -> Iterator[tuple[Command, Path]]:
    """Press Ctrl-C while a service restarts, and give the command, and the file for which the restart waits."""
    go = board.root.parent / "go"
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (board.root / "board.toml").write_text(
            f"[service]\nrestart = ['sh', '-c', 'until [ -e {go} ]; do sleep 0.05; done']\n"
            f"health = 'http://127.0.0.1:{server.server_port}/'\n"
        )
        command = Command(board, "deploy", bundle.path, "--to", board.name)
        command.wait_until("board: service")
        command.press()
        command.wait_until("board: stopping")
        yield command, go
        server.shutdown()


def test_a_switch_that_has_begun_comes_to_its_end_and_is_told(
    board: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
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
        wait_for(lambda: board.store.pending() is None)
    assert board.serves() == new


def test_a_rollback_whose_switch_has_begun_comes_to_its_end_and_is_told(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    the_next_try_succeeds(board, new_bundle)
    go = board.root.parent / "go"
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (board.root / "board.toml").write_text(
            f"[service]\nrestart = ['sh', '-c', 'until [ -e {go} ]; do sleep 0.05; done']\n"
            f"health = 'http://127.0.0.1:{server.server_port}/'\n"
        )
        command = Command(board, "rollback", "--to", board.name)
        command.wait_until("board: service")
        command.press()
        command.wait_until("board: stopping")
        go.touch()
        code, output = command.end()
        server.shutdown()
    assert code == 130
    assert command.said.splitlines()[-1] == "interrupted"
    document = json.loads(output)
    assert (document["release"], document["interrupted"]) == (f"1-{old}", True)
    assert board.serves() == old


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


@pytest.mark.parametrize(
    ("number", "boards"),
    [(signal.SIGINT, ["board"]), (signal.SIGINT, ["board", "board2"]), (signal.SIGKILL, ["board"])],
)
def test_a_board_does_not_go_on_measuring_for_nobody(
    number: signal.Signals, boards: list[str], board: LoopbackBoard
) -> None:
    def measuring() -> list[int]:
        return processes_with("edgemnist.bench.worker", str(board.root))

    on = [word for name in boards for word in ("--on", name)]
    command = Command(board, "bench", "tflite-int8", *on, "--seconds", "600")
    wait_for(measuring)
    command.press(number)
    code, _ = command.end()
    assert code == (130 if number == signal.SIGINT else -number)
    wait_for(lambda: not processes_with(str(board.root)), seconds=10)


def test_a_board_that_takes_no_notice_holds_nobody(board: LoopbackBoard) -> None:
    command = Command(board, "bench", "tflite-int8", "--on", "board", "--seconds", "600")
    wait_for(lambda: processes_with("edgemnist.bench.worker", str(board.root)))
    halted = processes_with(str(board.root))
    for process in halted:
        os.kill(process, signal.SIGSTOP)
    try:
        command.press()
        assert command.end()[0] == 130
    finally:
        for process in halted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
