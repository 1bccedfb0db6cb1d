"""When a board's service counts as healthy, and what `board.toml` may say."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import BadStatusLine, LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgemnist.board.agent import service as module
from edgemnist.board.agent.service import BoardService, find_service
from edgemnist.errors import DeployError, GateMissedError
from tests.messages import Told

RELEASE = "2-0123456789ab"
UNIT = "edgemnist.service"


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[str]:
    """Answer with each of these in turn, the last one for ever; without any, keep whoever asks waiting."""
    asked: list[str] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if not answers:
                ended.wait()
                return
            status, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever asked may not have waited."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/healthz"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def failure_of(service: BoardService) -> str:
    with pytest.raises(GateMissedError) as failure:
        service.activate(RELEASE)
    return failure.value.message


@pytest.fixture
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the restart take no time, so that a service with a timeout of 0 is asked once, and may take its time."""
    done = SimpleNamespace(returncode=0, stdout=b"", stderr=b"")
    monkeypatch.setattr("edgemnist.board.agent.service.subprocess.run", lambda *_, **__: done)
    monkeypatch.setattr(module, "_POLL_S", 5.0)


def healthy(release: str = RELEASE) -> tuple[int, bytes]:
    return 200, json.dumps({"release": release}).encode()


def test_a_service_is_asked_again_until_it_is_healthy_and_none_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BoardService([], f"file://{tmp_path}/missing", 0.1).activate(RELEASE)
    monkeypatch.setattr(module, "_POLL_S", 0.01)
    with answering((503, b""), healthy("1-0123456789ab"), (200, b""), healthy()) as address:
        BoardService(["true"], address, 120.0).activate(RELEASE)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, b""), "answers 503"),
        (healthy("1-0123456789ab"), "still answers from release 1-0123456789ab"),
        # Whatever listens there could say so.
        *(
            ((200, body), "does not say which release answers")
            for body in (b"{}", b"ok", b'["release"]', b'{"release": null}', b'{"release": "2-01', b"[" * 60_000)
        ),
        ((200, b'{"release": "' + b"x" * 70_000 + b'"}'), "does not say which release answers"),
    ],
)
@pytest.mark.usefixtures("asked_once")
def test_a_service_that_answers_otherwise_is_not(answer: tuple[int, bytes], reason: str) -> None:
    with answering(answer) as address:
        said = failure_of(BoardService(["restart"], address, 0.0))
    assert said == f"The service did not come up within 0 s: {address} {reason}"


@pytest.mark.usefixtures("asked_once")
def test_one_that_takes_too_long_or_is_not_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(healthy()) as address:
        pass
    said = failure_of(BoardService(["restart"], address, 0.0))
    assert said.startswith(f"The service did not come up within 0 s: {address}: <urlopen error")
    monkeypatch.setattr(module, "_POLL_S", 0.2)
    with answering() as address:
        assert failure_of(BoardService(["restart"], address, 0.0)).endswith(f"{address}: timed out")


@pytest.mark.parametrize(
    "error", [BadStatusLine("HELLO"), LineTooLong("header line"), ValueError("no chunk"), ConnectionResetError()]
)
@pytest.mark.usefixtures("asked_once")
def test_an_answer_without_http_is_not_healthy_and_says_why(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert failure_of(BoardService(["restart"], "http://x", 0.0)).endswith(
        f"http://x: {str(error) or 'ConnectionResetError'}"
    )


def test_a_service_that_cannot_be_restarted_says_why(told: Told) -> None:
    scripts = ("echo first >&2; echo it is broken >&2; exit 3", "echo only said; exit 3", "exit 3")
    odd = "printf 'odd \\377' >&2; exit 1"
    for command in (*(["sh", "-c", script] for script in (*scripts, odd)), ["no-such-command-here"], ["a\0b"]):
        told.says(failure_of(BoardService(command)))


def test_a_restart_is_not_given_what_is_meant_for_the_agent() -> None:
    """The agent reads its request from stdin."""
    reading, writing = os.pipe()
    os.write(writing, b"request\n")
    os.close(writing)
    before = os.dup(0)
    try:
        os.dup2(reading, 0)
        said = failure_of(BoardService(["sh", "-c", "read line && exit 1; echo nothing; exit 1"]))
        assert os.read(0, 99) == b"request\n"
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)
    assert said == "The service cannot be restarted: nothing"


def test_a_restart_that_hangs_is_ended_in_time() -> None:
    said = failure_of(BoardService(["sleep", "300"], timeout_s=0.2))
    assert said.startswith("The service cannot be restarted: Command '['sleep', '300']' timed out after 0.2 seconds")


@pytest.mark.usefixtures("asked_once")
def test_a_file_may_say_that_the_service_is_healthy(tmp_path: Path) -> None:
    service = BoardService(["restart"], f"file://{tmp_path}/health", 0.0)
    (tmp_path / "health").write_bytes(healthy()[1])
    service.activate(RELEASE)
    (tmp_path / "health").write_bytes(healthy("1-0123456789ab")[1])
    assert "still answers from release 1-" in failure_of(service)


def written(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "board.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_settings_are_those_of_the_table_and_else_the_usual_ones(tmp_path: Path) -> None:
    assert find_service(written(tmp_path, "")) == BoardService([], "http://127.0.0.1:8000/healthz", 30.0)
    text = "[service]\nrestart = ['a', 'é']\nhealth = 'https://x'\ntimeout = 7\n"
    assert find_service(written(tmp_path, text)) == BoardService(["a", "é"], "https://x", 7.0)
    for health in ("http://here", "file:///here"):
        assert find_service(written(tmp_path, f"service.health = '{health}'")).health == health
    for timeout_s in (0.5, 86_400):
        assert find_service(written(tmp_path, f"service.timeout = {timeout_s}")).timeout_s == timeout_s


def test_settings_that_could_not_work_are_refused_before_anything_is_switched(tmp_path: Path, told: Told) -> None:
    # More than `poll` and the clock can count would be noticed after the switch.
    timeouts = ("86401", "3e6", "0", "-1", "nan", "inf", "true", "'5'")
    for text in (
        "service.restrat = ['x']\nservice.abc = 1",
        *(f"service.restart = {value}" for value in ("'x'", "['x', 1]")),
        *(f"service.health = {value}" for value in ("1", "'x'", "'http://x:80O0/y'", "'http://x:65536/y'")),
        *(f"service.timeout = {value}" for value in timeouts),
    ):
        with told():
            find_service(written(tmp_path, text))
    # None of them is told in the words of Python.
    tables: tuple[str | bytes, ...] = ("service = 1", "service = [1]", "service = 'x'")
    for broken in ("[service", b"\xff", *tables):
        said = "service must be a table" if broken in tables else ""
        with pytest.raises(DeployError, match=rf"board.toml on the board cannot be used: {said}"):
            find_service(written(tmp_path, broken))


def unit_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> BoardService:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\n{script}\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return find_service(tmp_path / "board.toml")


@pytest.mark.parametrize(
    ("yes", "restart"),
    [
        (f"--user is-enabled {UNIT}", ["systemctl", "--user", "restart", UNIT]),
        (f"is-enabled {UNIT}", ["systemctl", "restart", UNIT]),
        # Somebody started it by hand: it answers from the old release until it is restarted.
        (f"--user is-active {UNIT}", ["systemctl", "--user", "restart", UNIT]),
        (f"is-active {UNIT}", ["systemctl", "restart", UNIT]),
        ("nothing", []),
    ],
)
def test_a_systemd_unit_is_found_without_settings(
    yes: str, restart: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    script = f'echo noise; echo noise >&2; [ "$XDG_RUNTIME_DIR: $*" = "/run/user/{os.getuid()}: {yes}" ]'
    assert unit_of(tmp_path, monkeypatch, script) == BoardService(restart)
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_systemd_that_hangs_may_have_a_unit_and_one_that_is_not_there_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.1)
    with pytest.raises(DeployError, match=r"did not answer within 0\.1 s, so nobody knows which service to restart"):
        unit_of(tmp_path, monkeypatch, "exec sleep 300")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert find_service(tmp_path / "board.toml") == BoardService([])
