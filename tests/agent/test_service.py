"""When a board's service counts as healthy, and what `board.toml` may say."""

from __future__ import annotations

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

from edgemnist.agent import service as module
from edgemnist.agent.service import HEALTH, TIMEOUT_S, UNIT, BoardService, find_service
from edgemnist.errors import DeployError, GateMissedError

RELEASE = "2-0123456789ab"


@contextmanager
def answering(
    *answers: tuple[int, bytes],
    length: int | None = None,
    held: bool = False,
    header: tuple[str, str] = ("X-Of", "a test"),
) -> Iterator[str]:
    """Answer with each of these in turn, the last one for ever; `length` is what the header claims.

    What is `held` is not answered before the end. `header` is one more of each answer.
    """
    asked: list[str] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if held:
                ended.wait()
            status, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header(*header)
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
    monkeypatch.setattr("edgemnist.agent.service.subprocess.run", lambda *_, **__: done)
    monkeypatch.setattr(module, "_POLL_S", 5.0)


def healthy(release: str = RELEASE) -> tuple[int, bytes]:
    return 200, json.dumps({"release": release}).encode()


@pytest.mark.parametrize(
    "body", [healthy()[1], b"{}", b"", b"ok", b'["release"]', b"x" * 65_536], ids=lambda body: body[:12].decode()
)
def test_a_service_that_names_this_release_or_none_is_healthy(body: bytes) -> None:
    with answering((200, body)) as address:
        BoardService(["true"], address, 120.0).activate(RELEASE)


def test_a_board_without_a_service_has_nothing_to_wait_for(tmp_path: Path) -> None:
    BoardService([], f"file://{tmp_path}/missing", 0.1).activate(RELEASE)


def test_it_is_asked_again_until_it_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.01)
    with answering((503, b""), healthy("1-0123456789ab"), (200, b""), healthy("3-0123456789ab")) as address:
        BoardService(["true"], address, 120.0).activate(RELEASE)


@pytest.mark.parametrize(
    ("answer", "length", "reason"),
    [
        ((503, b""), None, "{} answers 503"),
        (healthy("1-0123456789ab"), None, "{} still answers from release 1-0123456789ab"),
        ((200, b'{"release": "' + b"x" * 300 + b'"}'), None, "{} still answers from release " + "x" * 200),
        ((200, b"half"), 9, "{}: the answer is cut short"),
        ((200, b"x" * 65_537), None, "{} answers with more than 65,536 bytes"),
        ((200, b"x" * 65_537), 65_600, "{} answers with more than 65,536 bytes"),
    ],
)
@pytest.mark.usefixtures("asked_once")
def test_a_service_that_answers_otherwise_is_not(answer: tuple[int, bytes], length: int | None, reason: str) -> None:
    with answering(answer, length=length) as address:
        said = failure_of(BoardService(["restart"], address, 0.0))
    assert said == f"The service did not come up within 0 s: {reason.format(address)}"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (("Content-Encoding", "gzip"), "{}: the answer is encoded"),
        (("Content-Encoding", "Identity"), ""),
        (("X-Of", "a\0test"), "{}: a header has a NUL"),
    ],
)
@pytest.mark.usefixtures("asked_once")
def test_an_answer_that_hides_its_release_or_breaks_http_is_not(header: tuple[str, str], reason: str) -> None:
    with answering(healthy(), header=header) as address:
        service = BoardService(["restart"], address, 0.0)
        if not reason:
            service.activate(RELEASE)
            return
        said = failure_of(service)
    assert said == f"The service did not come up within 0 s: {reason.format(address)}"


@pytest.mark.usefixtures("asked_once")
def test_one_that_takes_too_long_or_is_not_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(healthy()) as address:
        pass
    said = failure_of(BoardService(["restart"], address, 0.0))
    assert said.startswith(f"The service did not come up within 0 s: {address}: <urlopen error")
    missing = f"file://{tmp_path}/{'n' * 150}"
    assert len(failure_of(BoardService(["restart"], missing, 0.0)).partition(f"{missing}: ")[2]) == 200
    monkeypatch.setattr(module, "_POLL_S", 0.2)
    with answering(healthy(), held=True) as address:
        said = failure_of(BoardService(["restart"], address, 0.0))
    reasons = (f"{address}: timed out", f"{address} did not answer within 0.2 s")
    assert said in {f"The service did not come up within 0 s: {reason}" for reason in reasons}


@pytest.mark.usefixtures("asked_once")
def test_one_that_sends_a_byte_at_a_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(BoardService, "_ask", lambda *_: str(ended.wait()))
    monkeypatch.setattr(module, "_POLL_S", 0.2)
    try:
        said = failure_of(BoardService(["restart"], "http://x", 0.0))
    finally:
        ended.set()
    assert said == "The service did not come up within 0 s: http://x did not answer within 0.2 s"


@pytest.mark.parametrize(
    "error", [BadStatusLine("HELLO"), LineTooLong("header line"), ValueError("no chunk")], ids=repr
)
@pytest.mark.usefixtures("asked_once")
def test_an_answer_that_is_no_http_is_not_healthy_and_says_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    said = failure_of(BoardService(["restart"], "http://x", 0.0))
    assert said == f"The service did not come up within 0 s: http://x: {error}"


@pytest.mark.usefixtures("asked_once")
def test_an_error_without_a_word_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert failure_of(BoardService(["restart"], "http://x", 0.0)).endswith("http://x: ConnectionResetError")


def test_each_question_may_take_five_seconds_and_no_more_than_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def ask(_: BoardService, release: str, timeout_s: float) -> str:
        assert release == RELEASE
        asked.append(timeout_s)
        return "" if len(asked) > 1 else "ill"

    monkeypatch.setattr(BoardService, "_ask", ask)
    BoardService(["true"], "http://x", 600.0).activate(RELEASE)
    assert asked == [5.0, 5.0]
    asked.clear()
    monkeypatch.setattr(module, "_REQUEST_S", 1_000.0)
    BoardService(["true"], "http://x", 600.0).activate(RELEASE)
    assert 300 < asked[1] < asked[0] < 600


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["sh", "-c", "echo first >&2; echo it is broken >&2; exit 3"], "it is broken"),
        (["sh", "-c", "echo only said; exit 3"], "only said"),
        (["sh", "-c", "exit 3"], "3"),
        (["no-such-command-here"], "[Errno 2] No such file or directory: 'no-such-command-here'"),
        (["sh", "-c", "read line && exit 0; echo nobody speaks; exit 1"], "nobody speaks"),
        (["sh", "-c", "printf 'odd \\377' >&2; exit 1"], "odd �"),
    ],
)
def test_a_service_that_cannot_be_restarted_says_why(command: list[str], reason: str) -> None:
    assert failure_of(BoardService(command)) == f"The service cannot be restarted: {reason}"


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


@pytest.mark.usefixtures("asked_once")
def test_a_file_may_say_that_the_service_is_healthy(tmp_path: Path) -> None:
    (tmp_path / "health").write_bytes(healthy()[1])
    BoardService(["restart"], f"file://{tmp_path}/health", 0.0).activate(RELEASE)
    (tmp_path / "health").write_bytes(healthy("1-0123456789ab")[1])
    assert "still answers from release 1-" in failure_of(BoardService(["restart"], f"file://{tmp_path}/health", 0.0))


def test_a_restart_that_hangs_is_ended_in_time() -> None:
    said = failure_of(BoardService(["sleep", "300"], timeout_s=0.2))
    assert said.startswith("The service cannot be restarted: Command '['sleep', '300']' timed out after 0.2 seconds")


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "board.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_settings_are_those_of_the_table_and_else_the_usual_ones(tmp_path: Path) -> None:
    usual = find_service(written(tmp_path, ""))
    assert usual == BoardService([], HEALTH, TIMEOUT_S)
    assert (usual.health, usual.timeout_s) == ("http://127.0.0.1:8000/healthz", 30.0)
    text = "[service]\nrestart = ['a', 'é']\nhealth = 'https://x'\ntimeout = 7\n"
    found = find_service(written(tmp_path, text))
    assert found == BoardService(["a", "é"], "https://x", 7.0)
    assert isinstance(found.timeout_s, float)
    for scheme in ("http", "https", "file"):
        health = f"{scheme}://here"
        assert find_service(written(tmp_path, f"service.health = '{health}'")).health == health
    for timeout_s in (0.5, 86_400):
        assert find_service(written(tmp_path, f"service.timeout = {timeout_s}")).timeout_s == timeout_s


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("restrat = ['x']\nabc = 1", "[service] has no setting abc"),
        ("restart = 'x'", "restart must be a list of words"),
        ("restart = ['x', 1]", "restart must be a list of words"),
        ("restart = ['x', \"a\\u0000\"]", "restart must be a list of words"),
        ("health = 1", "health must be an address that begins with http:// (got '1')"),
        ("health = 'x'", "health must be an address that begins with http:// (got 'x')"),
        ("health = 'http://a b'", "health must be an address that begins with http:// (got 'http://a b')"),
        ('health = "http://a\\n"', "health must be an address that begins with http:// (got 'http://a\\n')"),
        (f"health = '{'x' * 300}'", f"health must be an address that begins with http:// (got '{'x' * 200}')"),
        ("health = 'http://a:99999'", "Port out of range 0-65535"),
        ("health = 'http://[::1'", "Invalid IPv6 URL"),
        ("timeout = 86401", "timeout must be a number of seconds above 0, 86,400 at most (got 86401)"),
        # More than `poll` and the clock can count, which was noticed after the switch.
        ("timeout = 3e6", "timeout must be a number of seconds above 0, 86,400 at most (got 3000000.0)"),
        ("timeout = 1e300", "timeout must be a number of seconds above 0, 86,400 at most (got 1e+300)"),
        ("timeout = 0", "timeout must be a number of seconds above 0, 86,400 at most (got 0)"),
        ("timeout = -1", "timeout must be a number of seconds above 0, 86,400 at most (got -1)"),
        ("timeout = nan", "timeout must be a number of seconds above 0, 86,400 at most (got nan)"),
        ("timeout = inf", "timeout must be a number of seconds above 0, 86,400 at most (got inf)"),
        ("timeout = true", "timeout must be a number of seconds above 0, 86,400 at most (got True)"),
        ("timeout = '5'", "timeout must be a number of seconds above 0, 86,400 at most (got 5)"),
        (f"timeout = '{'x' * 300}'", f"timeout must be a number of seconds above 0, 86,400 at most (got {'x' * 200})"),
    ],
)
def test_settings_that_could_not_work_are_refused_before_anything_is_switched(
    text: str, reason: str, tmp_path: Path
) -> None:
    file = written(tmp_path, f"[service]\n{text}\n")
    with pytest.raises(DeployError) as failure:
        find_service(file)
    assert failure.value.message == f"{file} on the board cannot be used: {reason}"
    assert failure.value.hint == 'It should read: [service]  restart = ["systemctl", "restart", "edgemnist"]'


@pytest.mark.parametrize("data", [b"[service", b"service = 1", b"\xff", b"service = [1]"])
def test_settings_that_cannot_be_read_are_refused_too(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_bytes(data)
    with pytest.raises(DeployError, match=r"board\.toml on the board cannot be used"):
        find_service(tmp_path / "board.toml")


def unit_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> BoardService:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\n{script}\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return find_service(tmp_path / "board.toml")


@pytest.mark.parametrize(
    ("enabled", "restart"),
    [
        (f"--user is-enabled {UNIT}", ["systemctl", "--user", "restart", UNIT]),
        (f"is-enabled {UNIT}", ["systemctl", "restart", UNIT]),
        ("nothing", []),
    ],
)
def test_a_systemd_unit_is_found_without_settings(
    enabled: str, restart: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    script = f'echo noise; echo noise >&2; [ "$*" = "{enabled}" ]'
    assert unit_of(tmp_path, monkeypatch, script) == BoardService(restart)
    assert tuple(capfd.readouterr()) == ("", "")
    assert UNIT == "edgemnist.service"


def test_a_system_without_systemd_or_with_one_that_hangs_has_no_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REQUEST_S", 0.1)
    assert unit_of(tmp_path, monkeypatch, "exec sleep 300") == BoardService([])
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert find_service(tmp_path / "board.toml") == BoardService([])
