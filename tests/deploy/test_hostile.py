"""Boards and services that are broken, or mean harm: each costs itself, and nobody else."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgemnist.board.agent import MARK
from edgemnist.errors import DeployError
from edgemnist.fleet.deploy import transport
from edgemnist.fleet.deploy.answers import Prepared
from edgemnist.fleet.deploy.run import DeployConfig, FleetConfig, LocalBundle, deploy_fleet, deploy_to
from edgemnist.fleet.deploy.target import agent_name, make_agent, open_board
from edgemnist.ground.results.verify import VerifyResult
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard, the_next_try_succeeds

ONCE = DeployConfig(retries=0)

# A service


@contextmanager
def service(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Answer each connection on a port of this machine with what is given."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(client,), daemon=True).start()

        def one(client: socket.socket) -> None:
            with client:
                try:
                    client.recv(4096)
                    answer(client)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


OK = b"HTTP/1.1 200 OK\r\n"


def test_a_health_answer_without_an_end_is_rolled_back(board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    def answer(client: socket.socket) -> None:
        current = board.store.current()
        if current is not None and current.name.endswith(old):
            body = json.dumps({"release": current.name}).encode()
            client.sendall(OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return
        client.sendall(OK + b"\r\n")
        while True:
            client.sendall(b"x" * 65_536)

    settings = board.root / "board.toml"
    with service(answer) as port:
        settings.write_text(f"[service]\nrestart = ['true']\nhealth = 'http://127.0.0.1:{port}/'\ntimeout = 1.5\n")
        result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
        assert result.fault is not None
        assert result.fault.exit_code == 1, result.fault
        assert f"release 1-{old} serves again" in result.fault.message
        assert board.serves() == old
        assert board.store.pending() is None
    settings.unlink()
    the_next_try_succeeds(board, new_bundle)


# A board


def hostile(board: LoopbackBoard, code: str) -> LoopbackBoard:
    """Let a board answer with what this code prints; its agent has the size of the real one, as a rootkit's would."""
    data = make_agent()
    program = f"import sys, json, time\nM = {MARK!r}\n{code}\n".encode()
    directory = board.root / "agent"
    directory.mkdir(exist_ok=True)
    (directory / agent_name()).write_bytes(program + b"#" * (len(data) - len(program)))
    return board


def answering(document: object) -> str:
    return f"print(M + {json.dumps(document)!r}, flush=True)"


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\nsecond line"
# No object, a lie of each of its members, words for the terminal, too much, and too little.
HOSTILE = {
    "a list": answering([1]),
    "a process of everybody": answering({"process": -1}),
    "an empty result": answering({"result": {}}),
    "an error of another type": answering({"error": {"type": 5, "message": [], "hint": {}}}),
    "escapes in an error": answering({"error": {"type": "x", "message": ESCAPES, "hint": ESCAPES}}),
    "a long line": "print(M + 'x' * 50_000_000, flush=True)",
    "no end": "while True: print('x' * 1_000_000)",
    "no UTF-8": "sys.stdout.buffer.write(M.encode() + bytes(range(128, 256)) + b'\\n')",
    "nothing": "",
}
TOLD = {"a long line": "more than 32 MB", "no end": "more than 64 MB"}
"""What is said where the size is the only fault."""


def test_hostile_boards_cost_their_rows(
    new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, new: str
) -> None:
    bad = {name: hostile(new_board(f"board{number}"), code) for number, (name, code) in enumerate(HOSTILE.items())}
    good = new_board("board-good")
    steps: list[str] = []
    targets = [board.target for board in (*bad.values(), good)]
    result = deploy_fleet(targets, new_bundle, ONCE, FleetConfig(), lambda _, step: steps.append(step))
    assert [board.status for board in result.boards] == [*["failed"] * len(bad), "deployed"]
    assert good.serves() == new
    for name, row in zip(bad, result.boards, strict=False):
        assert row.fault is not None
        said = row.fault.message
        assert "edgemnist failed" not in said, name
        assert TOLD.get(name, "") in said
        assert len(said) < 5000
        assert not said.rstrip(". ").endswith(":"), name
        assert (said + row.fault.hint).isprintable(), name
    assert all(map(str.isprintable, steps))


def test_a_board_that_never_answers_is_given_up(new_board: Callable[[str], LoopbackBoard]) -> None:
    silent = hostile(new_board("board1"), "time.sleep(3600)")
    with open_board(silent.target) as board, pytest.raises(DeployError, match="did not answer within 1 s"):
        board.ask("prepare", Prepared, {}, limit_s=1.0)


def test_what_a_command_on_a_board_prints_is_cleaned(new_board: Callable[[str], LoopbackBoard]) -> None:
    said = {"exit_code": 2, "release": "1-x", "stdout": "", "stderr": f"error: {ESCAPES}\n       {ESCAPES}\n"}
    with pytest.raises(DeployError) as caught:
        hostile(new_board("board1"), answering({"result": said})).target.answer(["verify"], VerifyResult)
    assert (caught.value.message + caught.value.hint).isprintable()
    said = {"exit_code": 0, "release": "1-x", "stdout": json.dumps({"a": [ESCAPES]}), "stderr": ""}
    run = hostile(new_board("board2"), answering({"result": said})).target.answer(["verify"], dict).result
    assert "\x1b" not in run["a"][0]
    for number, stdout in enumerate(("[" * 100_000, "[]", "{}{", '{"a": NaN}')):
        said = {"exit_code": 0, "release": "1-x", "stdout": stdout, "stderr": ""}
        with pytest.raises(DeployError):
            hostile(new_board(f"board1{number}"), answering({"result": said})).target.answer(["verify"], VerifyResult)


@pytest.mark.parametrize(
    "words",
    [
        "verify tflite-int8@integer --max-flips 0.5 --max-drop 0.25 --max-diff 0.01 --why",
        "bench tflite-int8 onnx-int8 --threads 2 --batch-size 10 --seconds 0.5",
        "predict --index 0 --index 3 --artifact tflite-int8@integer --threads 2 --show",
    ],
)
def test_every_option_reaches_the_board(words: str, new_board: Callable[[str], LoopbackBoard], tmp_path: Path) -> None:
    # A board that refuses everything, and says what it was asked.
    code = (
        "asked = json.load(sys.stdin)\n"
        "said = {'type': 'DeployError', 'message': ' '.join(asked['module']), 'hint': ''}\n"
        "print(M + json.dumps({'error': said}), flush=True)"
    )
    board = hostile(new_board("board1"), code)
    # What is said of this machine's environment is not for the board.
    environment = {**board.environment, "EDGEMNIST_OFFLINE": "1", "COLUMNS": "1000"}
    done = run_edgemnist(*words.split(), "--on", "board1", cwd=tmp_path, env=environment)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if "board1: edgemnist " in line)
    arrived = line.partition("board1: edgemnist ")[2].rstrip(".").removesuffix(" --exports {exports} --json").split()
    assert sorted(arrived) == sorted(words.split())
    assert words.startswith(arrived[0])


def test_a_program_that_ends_before_it_has_read_everything_is_no_failure() -> None:
    with transport._running(["true"], stdin=subprocess.PIPE) as program:
        assert program.stdin is not None
        program.stdin.write(b"still in the buffer")
        program.wait()
