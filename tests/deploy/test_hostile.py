"""Boards and services that are broken, or mean harm: each costs itself, and nobody else."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from edgemnist.agent import MARK
from edgemnist.agent.facts import collect_facts
from edgemnist.deploy import transport
from edgemnist.deploy.answers import Prepared
from edgemnist.deploy.remote import bench_on, doctor_on, releases_on, rollback_on, run_on
from edgemnist.deploy.run import DeployConfig, FleetConfig, LocalBundle, deploy_fleet, deploy_to
from edgemnist.deploy.target import agent_name, make_agent, open_board
from edgemnist.errors import DeployError, EdgemnistError, UsageError
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard
from tests.deploy.trying import the_next_try_succeeds
from tests.sweeping import swept

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


def trickle(client: socket.socket) -> None:
    for byte in OK + b"X: " + b"y" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.2)


def endless(client: socket.socket) -> None:
    client.sendall(OK + b"\r\n")
    while True:
        client.sendall(b"x" * 65_536)


BROKEN: dict[str, Callable[[socket.socket], object]] = {
    "bad status line": lambda client: client.sendall(b"HELLO\r\n\r\n"),
    "no status": lambda client: client.sendall(b"HTTP/1.1 abc OK\r\n\r\n"),
    "nothing": lambda _: None,
    "incomplete read": lambda client: client.sendall(OK + b"Content-Length: 100\r\n\r\n{}"),
    "negative length": lambda client: client.sendall(OK + b"Content-Length: -5\r\n\r\n{}"),
    "endless length": lambda client: client.sendall(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
    "bad chunk": lambda client: client.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "huge header": lambda client: client.sendall(OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n{}"),
    "many headers": lambda client: client.sendall(OK + b"X: y\r\n" * 200 + b"\r\n{}"),
    "nested": lambda client: client.sendall(OK + b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000),
    "endless": endless,
    "a byte a time": trickle,
    "a redirect to itself": lambda client: client.sendall(b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\n\r\n"),
}


OF_EACH_KIND = ["bad status line", "negative length", "nested", "endless", "a byte a time"]
"""No HTTP, a header that lies, a body that lies, one without an end, and one that takes its time."""


@pytest.mark.parametrize("name", swept(BROKEN, kept=OF_EACH_KIND))
def test_a_health_answer_that_is_broken_is_rolled_back(
    name: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    def answer(client: socket.socket) -> None:
        current = board.store.current()
        if current is not None and current.name.endswith(old):
            client.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
            return
        BROKEN[name](client)

    settings = board.root / "board.toml"
    with service(answer) as port:
        settings.write_text(f"[service]\nrestart = ['true']\nhealth = 'http://127.0.0.1:{port}/'\ntimeout = 1.5\n")
        started = time.monotonic()
        result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
        assert time.monotonic() - started < 60
        assert result.fault is not None
        assert result.fault.exit_code == 1, result.fault
        assert f"release 1-{old} serves again" in result.fault.message
        assert board.serves() == old
        assert board.store.pending() is None
    settings.unlink()
    the_next_try_succeeds(board, new_bundle)


@pytest.mark.parametrize(
    "line",
    swept(
        ["timeout = nan", "timeout = inf", "timeout = 0", "timeout = true", "timeout = 'x'", "health = 'x'",
         "health = 5", "health = 'http://a b'", "restart = ['a\\u0000b']"],
        kept=["timeout = nan", "health = 'x'", "restart = ['a\\u0000b']"],
    ),
)  # fmt: skip
def test_settings_that_could_not_work_are_refused_before_the_switch(
    line: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    restart = "" if line.startswith("restart") else "restart = ['true']\n"
    (board.root / "board.toml").write_text(f"[service]\n{restart}{line}\n".replace("'a\\u0000b'", '"a\\u0000b"'))
    steps: list[str] = []
    result = deploy_to(board.target, new_bundle, ONCE, steps.append)
    assert result.fault is not None
    assert "board.toml" in result.fault.message
    assert line.split(maxsplit=1)[0] in result.fault.message
    assert "switch" not in steps
    assert board.serves() == old


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


def prepared(tmp_path: Path, facts: dict[str, object] | None = None, **changes: object) -> str:
    """Return the code of a board that answers to `prepare`, with some values changed."""
    found = {**asdict(collect_facts(tmp_path)), **(facts or {})}
    answer = {"facts": found, "known": False, "offset": 0, "incoming": "x", "signed_only": False, **changes}
    return answering({"result": answer})


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\nsecond line"
HOSTILE = {
    "no JSON": "print(M + '{', flush=True)",
    "a list": answering([1]),
    "nested": "print(M + '[' * 100000, flush=True)",
    "nested in a result": """print(M + '{"result": {"facts": ' + '[' * 5000 + ']' * 5000 + '}}', flush=True)""",
    "a step of another type": answering({"step": 5}),
    "a process that is a command": answering({"process": "1; reboot"}),
    "a process of everybody": answering({"process": -1}),
    "an empty result": answering({"result": {}}),
    "a result of another type": answering({"result": "yes"}),
    "an error without a message": answering({"error": {"type": "GateMissedError"}}),
    "an error without a word": answering({"error": {"type": "x", "message": " ", "hint": ""}}),
    "an error of another type": answering({"error": {"type": 5, "message": [], "hint": {}}}),
    "escapes in an error": answering({"error": {"type": "x", "message": ESCAPES, "hint": ESCAPES}}),
    "escapes in a step": answering({"step": ESCAPES}),
    "escapes on stderr": f"sys.stderr.write({ESCAPES + ESCAPES.partition(chr(10))[0]!r})",
    "a long line": "print(M + 'x' * 50_000_000, flush=True)",
    "no end": "while True: print('x' * 1_000_000)",
    "no end of errors": "sys.stderr.write('x' * 100_000_000)",
    "no UTF-8": "sys.stdout.buffer.write(M.encode() + bytes(range(128, 256)) + b'\\n')",
    "nothing": "",
}
TOLD = {"a long line": "more than 32 MB", "no end": "more than 64 MB"}
"""What is said where the size is the only fault."""
KEPT = ["a list", "a process of everybody", "an empty result", "an error of another type", "escapes in an error",
        "a long line", "no end", "no UTF-8", "nothing"]  # fmt: skip
"""One of each kind: no object, a lie of each of its members, words for the terminal, too much, and too little."""


def is_plain(text: str) -> bool:
    return text.isprintable()


@pytest.mark.parametrize("name", swept(HOSTILE, kept=KEPT))
def test_a_hostile_board_costs_its_own_row_of_a_fleet(
    name: str, new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, new: str
) -> None:
    bad, good = hostile(new_board("board1"), HOSTILE[name]), new_board("board2")
    steps: list[str] = []
    result = deploy_fleet(
        [bad.target, good.target], new_bundle, ONCE, FleetConfig(), lambda _, step: steps.append(step)
    )
    assert [board.status for board in result.boards] == ["failed", "deployed"]
    assert good.serves() == new
    fault = result.boards[0].fault
    assert fault is not None
    assert "edgemnist failed" not in fault.message
    assert TOLD.get(name, "") in fault.message
    assert len(fault.message) < 5000
    assert not fault.message.rstrip(". ").endswith(":")
    for ask in (
        releases_on,
        lambda target: doctor_on(target, steps.append),
        lambda target: rollback_on(target, None, 1.0, steps.append),
        lambda target: run_on(target, []),
    ):
        with pytest.raises(EdgemnistError) as caught:
            ask(bad.target)
        assert is_plain(caught.value.message)
    assert all(map(is_plain, [fault.message, fault.hint, *steps]))


@pytest.mark.parametrize(
    "facts",
    [{"clock": 1e300}, {"clock": -1e300}, {"python": "x"}, {"python": "9" * 5000}, {"cores": 1 << 70},
     {"throttled": 1 << 62}, {"board": ESCAPES}, {"disk_free_bytes": -1}, {"temperature_c": 1e308}],
)  # fmt: skip
def test_facts_that_cannot_be_true_bring_nobody_down(
    facts: dict[str, object], new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, tmp_path: Path
) -> None:
    bad = hostile(new_board("board1"), prepared(tmp_path, facts))
    result = deploy_to(bad.target, new_bundle, ONCE, lambda _: None)
    assert result.fault is not None
    assert "edgemnist failed" not in result.fault.message
    texts = [result.fault.message, *(text for check in result.findings for text in (check.value, check.meaning))]
    assert all(map(is_plain, texts))


def test_a_board_cannot_have_a_command_run_here(
    new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, tmp_path: Path
) -> None:
    there = tmp_path / "owned"
    bad = hostile(new_board("board1"), prepared(tmp_path, incoming=f'x"\n!touch {there}\n'))
    deploy_to(bad.target, new_bundle, ONCE, lambda _: None)
    assert not there.exists()


def test_steps_without_an_end_do_not_fill_the_screen(new_board: Callable[[str], LoopbackBoard]) -> None:
    bad = hostile(new_board("board1"), """while True: print(M + '{"step": "' + 'x' * 5000 + '"}')""")
    steps: list[str] = []
    with pytest.raises(DeployError, match="announced more than 100 steps of rollback"):
        rollback_on(bad.target, None, 1.0, steps.append)
    assert len(steps) == 100
    assert sum(map(len, steps)) <= 10_000


def test_releases_without_an_end_do_not_fill_the_screen(new_board: Callable[[str], LoopbackBoard]) -> None:
    row = {"release": "1-x", "current": True, "problems": ["x" * 1000], "edgemnist": None, "artifacts": [],
           "signed": False, "deployed_at": None}  # fmt: skip
    code = f"rows = {{'releases': [{row!r}] * 3000, 'pending': None, 'busy': None}}"
    bad = hostile(new_board("board1"), f"{code}\nprint(M + json.dumps({{'result': rows}}), flush=True)")
    with pytest.raises(DeployError, match="cannot read: more than 64 KB"):
        releases_on(bad.target)


def test_a_document_without_an_end_does_not_fill_the_screen(new_board: Callable[[str], LoopbackBoard]) -> None:
    said = {"exit_code": 0, "release": "1-x", "stdout": json.dumps({"artifacts": ["x" * 1000] * 100}), "stderr": ""}
    bad = hostile(new_board("board1"), answering({"result": said}))
    with pytest.raises(DeployError, match="cannot read: 1 objects and 100,000 characters"):
        run_on(bad.target, ["verify"])


def test_a_board_that_never_answers_is_given_up(new_board: Callable[[str], LoopbackBoard]) -> None:
    silent = hostile(new_board("board1"), "time.sleep(600)")
    started = time.monotonic()
    with open_board(silent.target) as board, pytest.raises(DeployError, match="did not answer within 1 s"):
        board.ask("prepare", Prepared, {}, limit_s=1.0)
    assert time.monotonic() - started < 30


def test_what_a_command_on_a_board_prints_is_cleaned(new_board: Callable[[str], LoopbackBoard]) -> None:
    said = {"exit_code": 2, "release": "1-x", "stdout": "", "stderr": f"error: {ESCAPES}\n       {ESCAPES}\n"}
    with pytest.raises(DeployError) as caught:
        run_on(hostile(new_board("board1"), answering({"result": said})).target, ["verify"])
    assert is_plain(caught.value.message + caught.value.hint)
    said = {"exit_code": 0, "release": "1-x", "stdout": json.dumps({"a": [ESCAPES]}), "stderr": ""}
    run = run_on(hostile(new_board("board2"), answering({"result": said})).target, ["verify"])
    assert "\x1b" not in run.document["a"][0]
    for number, stdout in enumerate(("[" * 100_000, "[]", "{}{", '{"a": NaN}')):
        said = {"exit_code": 0, "release": "1-x", "stdout": stdout, "stderr": ""}
        with pytest.raises(DeployError):
            run_on(hostile(new_board(f"board1{number}"), answering({"result": said})).target, ["verify"])


@pytest.mark.parametrize(
    "words",
    [
        "verify tflite-int8@integer --max-flips 0.5 --max-drop 0.25 --max-diff 0.01 --layers",
        "bench tflite-int8 onnx-int8 --threads 1-2 --samples 20 --batch-size 10 --seconds 0.5 --rounds 2 --cold-cache",
        "scenario server tflite-int8 --rate 100.0 --p99-limit 0.5",
        "scenario duty-cycle --rate 2.0 --repeats 3",
        "predict --index 0 --index 3 --artifact tflite-int8@integer --threads 2 --show",
    ],
)
def test_every_option_arrives_on_the_board(
    words: str, new_board: Callable[[str], LoopbackBoard], tmp_path: Path
) -> None:
    # A board that refuses everything, and says what it was asked.
    code = (
        "asked = json.load(sys.stdin)\n"
        "said = {'type': 'DeployError', 'message': ' '.join(asked['module']), 'hint': ''}\n"
        "print(M + json.dumps({'error': said}), flush=True)"
    )
    board = hostile(new_board("board1"), code)
    settings = {"EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)}
    # What is said of this machine's environment is not for the board.
    settings["EDGEMNIST_OFFLINE"] = "1"
    done = run_edgemnist(*words.split(), "--on", "board1", cwd=tmp_path, env={**settings, "COLUMNS": "1000"})
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if "board1: edgemnist " in line)
    arrived = line.partition("board1: edgemnist ")[2].rstrip(".").removesuffix(" --exports {exports} --json").split()
    assert sorted(arrived) == sorted(words.split())
    assert words.startswith(arrived[0])


def test_the_same_board_is_not_measured_twice_at_once(new_board: Callable[[str], LoopbackBoard]) -> None:
    target = new_board("board1").target
    with pytest.raises(UsageError, match="board1 is named twice"):
        bench_on([target, target], [])


def test_a_program_that_ends_before_it_has_read_everything_is_no_failure() -> None:
    with transport._running(["true"], stdin=subprocess.PIPE) as program:
        assert program.stdin is not None
        program.stdin.write(b"still in the buffer")
        program.wait()
