"""Who is let in, the very token and nothing like it, and what everybody else is told."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from edgemnist.errors import ArtifactError, EdgemnistError, UsageError
from edgemnist.ground.web.bodies import MAX_CLIENTS, Bodies, RateLimiter, content_type, network_of
from edgemnist.ground.web.config import Limits, SiteConfig, listen, read_token
from edgemnist.ground.web.guard import SECURITY, RequestGuard
from edgemnist.ground.web.refusals import RefusedError
from edgemnist.serve.cli import unit_token
from edgemnist.serve.config import PictureLimits
from edgemnist.serve.metrics import Metrics
from tests.messages import Told
from tests.notices import Notices

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

TOKEN = "0123456789abcdef0123456789abcdef"


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


Answer = tuple[int, dict[str, str], dict[str, Any]]
"""Status, headers and document."""


class Guarded:
    """The guard before an application that answers 200, or fails with `failure`."""

    def __init__(self, config: SiteConfig, failure: BaseException | None = None, *, begun: bool = False) -> None:
        pages = {"/", "/app.js"}
        self.metrics = Metrics("tflite-int8", "", pages)
        self.failure, self.begun = failure, begun
        self._guard = RequestGuard(self._answer, config, pages, self.metrics.request)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["app"] is self._guard
        assert self._guard.in_flight == 1
        assert (await receive())["type"] == "http.request"
        if self.begun or self.failure is None:
            await application(scope, receive, send)
        if self.failure is not None:
            raise self.failure

    def ask(
        self, path: str = "/v1/predict", headers: dict[str, str] | None = None, *, client: str | None = "192.0.2.1"
    ) -> Answer:
        """Return the answer to a PUT; nothing if none was sent."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        named = {"host": "localhost", **(headers or {})}
        scope = {
            "type": "http",
            "method": "PUT",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in named.items() if value],
            "client": client and (client, 1),
        }
        asyncio.run(self._guard(scope, receive, send))
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"] or not sent
        assert self._guard.in_flight == 0
        if not sent:
            return 0, {}, {}
        body = sent[1]["body"]
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        assert found.items() >= SECURITY.items()
        if body:
            assert found["content-type"] == "application/json"
            assert found["content-length"] == str(len(body))
            assert found["cache-control"] == "no-store"
        return sent[0]["status"], found, json.loads(body or b"{}")

    def counted(self, path: str, status: int) -> float | None:
        labels = {"path": path, "status": str(status)}
        return self.metrics.registry.get_sample_value("edgemnist_requests_total", labels)


LET_IN = [f"{scheme} {TOKEN} " for scheme in ("Bearer", "bearer", "BEARER", "Bearer  ")]
WRONG = (*(TOKEN[:length] for length in (0, 1, 8, 16, 31)), TOKEN[1:], f"{TOKEN}0", TOKEN.upper(), f"{TOKEN} {TOKEN}")
KEPT_OUT = ["", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}0", *(f"Bearer {wrong}" for wrong in WRONG)]


@pytest.mark.parametrize("authorization", [*LET_IN, *KEPT_OUT])
def test_the_token_lets_in_and_nothing_like_it(authorization: str) -> None:
    status, _, _ = Guarded(SiteConfig(token=TOKEN)).ask(headers={"authorization": authorization})
    assert status == (200 if authorization in LET_IN else 401)


def test_without_a_token_the_service_answers_to_its_names_alone() -> None:
    """A page of a stranger whose name leads here (DNS rebinding) cannot send the token."""
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "board.lan"):
        assert Guarded(SiteConfig(names=("board.lan",))).ask(headers={"host": host})[0] == 200
    for host in ("evil.example", "localhost.evil.example", "[::2]:8000", "localhos", ""):
        guarded = Guarded(SiteConfig())
        status, _, document = guarded.ask(headers={"host": host})
        said = f"does not answer to the name {host.removesuffix(':8000')!r}" if host else "has no Host header"
        assert (status, document["error"], said in document["message"]) == (421, "wrong-host", True)
        assert guarded.counted("/v1/predict", 421) == 1
        bearer = {"host": host, "authorization": f"Bearer {TOKEN}"}
        assert Guarded(SiteConfig(token=TOKEN)).ask(headers=bearer)[0] == 200


def test_the_page_and_the_state_of_the_service_need_no_token() -> None:
    guarded = Guarded(SiteConfig(token=TOKEN))
    for path in ("/", "/app.js", "/healthz", "/openapi.json"):
        assert guarded.ask(path)[0] == 200
    for path in ("/v1/predict", "/v1/read", "/metrics", "/app"):
        status, headers, document = guarded.ask(path)
        assert (status, headers["www-authenticate"], document["error"]) == (401, "Bearer", "unauthorized")
    assert Guarded(SiteConfig()).ask("/metrics")[0] == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_back_and_the_others_are_not() -> None:
    guarded = Guarded(SiteConfig(limits=Limits(rate=0.3)))
    assert guarded.ask()[0] == 200
    status, headers, document = guarded.ask()
    assert (status, headers["retry-after"], document["error"]) == (429, "4", "too-many-requests")
    assert document["hint"].startswith("Wait 3.")
    assert guarded.ask(client="192.0.2.2")[0] == 200
    # Whether the service is well can be asked at any rate; a client without an address is one, too.
    assert [guarded.ask(path)[0] for path in ("/healthz", "/metrics") for _ in range(3)] == [200] * 6
    assert [guarded.ask(client=None)[0] for _ in range(2)] == [200, 429]


def test_guesses_of_the_token_count_wherever_they_are_made() -> None:
    guarded = Guarded(SiteConfig(token=TOKEN, limits=Limits(rate=0.3)))
    assert [guarded.ask("/metrics")[0] for _ in range(3)] == [401, 429, 429]
    assert guarded.ask("/metrics", {"authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_failure_is_a_document_that_says_what_to_do(told: Told) -> None:
    for failure, status in (
        (HTTPException(404), 404),
        (HTTPException(405, headers={"Allow": "GET, POST"}), 405),
        (UsageError("What is wrong", hint="What to do."), 400),
        (ValueError("a bug"), 500),
        (asyncio.CancelledError(), 503),
    ):
        guarded = Guarded(SiteConfig(), failure)
        found, headers, answered = guarded.ask()
        assert found == status
        assert headers.get("allow") == ("GET, POST" if status == 405 else None)
        assert guarded.counted("/v1/predict", status) == 1
        told.says(json.dumps(answered))


def test_what_the_log_says_of_a_failure_is_not_told_to_clients(caplog: pytest.LogCaptureFixture) -> None:
    damaged = ArtifactError("/secret/path is damaged", hint="Write it again.")
    status, _, document = Guarded(SiteConfig(), damaged).ask()
    assert status == 503
    assert "secret" not in json.dumps(document)
    assert caplog.messages == ["/v1/predict: /secret/path is damaged. Write it again."]
    caplog.clear()
    Guarded(SiteConfig(), ValueError("a bug")).ask()
    assert caplog.messages == ["A bug in edgemnist: PUT /v1/predict"]
    assert caplog.records[0].exc_info is not None
    caplog.clear()
    failed = EdgemnistError("/secret/path is full", hint="Make room.")
    assert Guarded(SiteConfig(), failed).ask()[0] == 500
    assert caplog.messages == ["/v1/predict: /secret/path is full. Make room."]
    caplog.clear()
    # What the client can do something about is not the operator's concern.
    Guarded(SiteConfig(), UsageError("What is wrong")).ask()
    assert caplog.messages == []


def test_an_answer_that_has_begun_is_not_followed_by_a_second_one() -> None:
    with pytest.raises(ValueError, match="a bug"):
        Guarded(SiteConfig(), ValueError("a bug"), begun=True).ask()
    assert Guarded(SiteConfig(), asyncio.CancelledError(), begun=True).ask()[0] == 200


def test_a_client_that_went_away_is_counted_and_not_answered() -> None:
    guarded = Guarded(SiteConfig(), ClientDisconnect())
    assert guarded.ask()[0] == 0
    assert guarded.counted("/v1/predict", 499) == 1


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_ask_twice_as_often_at_once_and_then_at_its_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    assert [limiter.wait("192.0.2.1") for _ in range(20)] == [0] * 20
    assert limiter.wait("192.0.2.1") == pytest.approx(0.1)
    assert limiter.wait("192.0.2.2") == 0
    clock.now = 0.11
    assert limiter.wait("192.0.2.1") == 0
    assert limiter.wait("192.0.2.1") > 0
    clock.now = 60
    assert [limiter.wait("192.0.2.1") > 0 for _ in range(21)] == [False] * 20 + [True]
    assert [RateLimiter(0, clock).wait("a") for _ in range(3)] == [0, 0, 0]
    # Below a request a second, one at once.
    slow = RateLimiter(0.25, clock)
    assert [slow.wait("a") for _ in range(2)] == [0, 4]
    clock.now = 64
    assert slow.wait("a") == 0


def test_the_client_that_was_silent_for_longest_is_forgotten_first() -> None:
    limiter = RateLimiter(0.5, Clock())
    for name in ("first", "second", *map(str, range(MAX_CLIENTS - 2)), "first"):
        limiter.wait(name)
    limiter.wait("one more")
    assert len(limiter._buckets) == MAX_CLIENTS
    assert limiter.wait("first") > 0
    # Forgotten, it is a new one, which evicts the oldest in its turn.
    assert limiter.wait("second") == 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("no: address", "no: address"),
    ],
)
def test_what_counts_as_one_client(address: str, client: str) -> None:
    assert network_of(address) == client


def request(messages: Iterable[dict[str, Any]] = (), /, **headers: str) -> Request:
    """Return a request whose body arrives in these messages, and then not for long."""
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        for message in left:
            return message
        await asyncio.sleep(0.5)
        raise AssertionError("Nobody gave up.")

    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": fields}, receive)


LIMITS = Limits(max_bytes=1024, max_held_bytes=4096)


def parts(*data: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": part, "more_body": index < len(data) - 1} for index, part in enumerate(data)
    ]


def received(asked: Request, limits: Limits = LIMITS) -> bytes:
    """Return the body of a request."""
    bodies = Bodies(limits)

    async def read() -> bytes:
        async with bodies.receive(asked) as body:
            data = body.read()
            assert bodies.bytes == len(data)
        assert body.closed
        return data

    try:
        return asyncio.run(read())
    finally:
        assert bodies.bytes == 0


def test_a_body_is_all_its_parts_and_its_memory_is_given_back() -> None:
    assert received(request(parts(b"one", b"", b"two"))) == b"onetwo"
    # A message without a field has an empty body, and is the last.
    assert received(request([{"type": "http.request"}])) == b""
    assert received(request(parts(bytes(1000), bytes(24)), content_length="1024")) == bytes(1024)


def test_a_body_that_is_too_large_is_refused_before_it_is_in_memory(told: Told) -> None:
    lengths = ("1025", "9" * 5000, "0" * 5000 + "1025")
    for asked in (request(parts(bytes(1000), bytes(25))), *(request(content_length=length) for length in lengths)):
        with pytest.raises(RefusedError) as refused:
            received(asked)
        assert refused.value.status == 413
        told.says(refused.value.document.message)


def test_a_body_that_does_not_arrive_is_given_up_and_leaves_nothing() -> None:
    begun = {"type": "http.request", "body": b"one", "more_body": True}
    with pytest.raises(RefusedError, match=r"^The body did not arrive in time$") as refused:
        received(request([begun]), replace(LIMITS, body_timeout_s=0.01))
    assert refused.value.status == 408
    with pytest.raises(ClientDisconnect):
        received(request([begun, {"type": "http.disconnect"}]))


def test_without_room_or_files_the_client_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    said = r"^The service has no memory for another body at the moment$"
    with pytest.raises(RefusedError, match=said) as full:
        received(request(parts(b"one", b"two")), replace(LIMITS, max_held_bytes=5))
    monkeypatch.setattr(os, "memfd_create", none_left, raising=False)
    with pytest.raises(RefusedError, match=said) as none:
        received(request(parts(b"one")))
    assert (full.value.status, none.value.status) == (503, 503)
    # Elsewhere than on Linux it is a temporary file.
    monkeypatch.delattr(os, "memfd_create")
    assert received(request(parts(b"one", b"two"))) == b"onetwo"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("image/png", "image/png"),
        (" IMAGE/JPEG ; q=1", "image/jpeg"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/json; charset=utf-8", "application/json"),
    ],
)
def test_a_picture_is_known_by_its_type_without_parameters(header: str, kind: str) -> None:
    assert content_type(request(content_type=header), batches=True) == kind


SHORT_TOKEN = "0123456789abcdef"


def test_what_others_can_reach_needs_a_token_and_this_machine_alone_none() -> None:
    for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1"):
        names = {"localhost", "127.0.0.1", "[::1]", host, "a.lan"}
        assert SiteConfig(host=host, names=("a.lan",)).hosts == frozenset(names)
    for host in ("0.0.0.0", "::", "192.168.1.2", "board.lan", "", "localhost.evil.org"):
        with pytest.raises(UsageError, match=f"^Other machines can reach {host}, so the service needs a token$"):
            SiteConfig(host=host)
        assert SiteConfig(host=host, token=SHORT_TOKEN).hosts is None


LENGTH = "must have at least 16 ASCII characters and no spaces"
VARIETY = "must have at least 5 different characters"
TOKENS = {
    **dict.fromkeys((SHORT_TOKEN, "aaaaaaaaaaaabcde", "!#$%&'()*+,-./:;", "x" * 12 + "abcd")),
    **dict.fromkeys(
        ("", SHORT_TOKEN[1:], f"{SHORT_TOKEN[:8]} {SHORT_TOKEN[8:]}", f"{SHORT_TOKEN}\n", f"{SHORT_TOKEN}é"), LENGTH
    ),
    **dict.fromkeys(("abcd" * 4, "a" * 16), VARIETY),
}


@pytest.mark.parametrize(("token", "problem"), TOKENS.items())
def test_a_token_that_can_be_guessed_or_not_sent_is_refused(token: str, problem: str | None) -> None:
    if problem is None:
        assert SiteConfig(token=token).token == token
        return
    with pytest.raises(UsageError, match=f"The token {problem}"):
        SiteConfig(token=token)


def test_a_limit_under_which_nothing_works_is_refused(told: Told) -> None:
    limits = {"max_bytes": 1024, "max_pixels": 784, "concurrency": 1, "rate": 0}
    for make, name, least in (
        (SiteConfig, "port", 0),
        *((PictureLimits, name, least) for name, least in limits.items()),
    ):
        assert getattr(make(**{name: least}), name) == least
        with told():
            make(**{name: least - 1})
    with told():
        SiteConfig(port=65_536)


def test_the_token_is_the_first_line_of_its_file_which_others_should_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices, file = Notices(), tmp_path / "token"
    assert read_token(SHORT_TOKEN, None, notices) == SHORT_TOKEN
    assert read_token(None, None, notices) is None
    file.write_text(f"  {SHORT_TOKEN} \nanother\n", encoding="utf-8")
    file.chmod(0o600)
    assert read_token("not this one", file, notices) == SHORT_TOKEN
    file.write_text(f"\n{SHORT_TOKEN}é", encoding="utf-8")
    for mode in (0o600, 0o622, 0o611, 0o640, 0o604, 0o644):
        file.chmod(mode)
        assert read_token(None, file, notices) == f"{SHORT_TOKEN}é"
    said = f"Other users can read the token in {file}. Fix that with: chmod 600 {file}"
    assert notices.messages == [said] * 3, "of the last three modes"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_token(None, file, notices) == f"{SHORT_TOKEN}é"
    assert len(notices.messages) == 3, "systemd keeps its credentials"


def test_what_is_wrong_with_a_token_or_a_port_is_told(tmp_path: Path, told: Told) -> None:
    assert unit_token(None, None) is None
    for token in (None, SHORT_TOKEN):
        assert SiteConfig(token=unit_token(token, tmp_path / "token")).token == "0123456789abcdef"
    with told():
        unit_token(SHORT_TOKEN, None)
    with told():
        read_token(None, tmp_path / "none")
    (tmp_path / "token").write_bytes(b"\xff")
    with told():
        read_token(None, tmp_path / "token")
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=f"^The service cannot listen on 127.0.0.1:{port}: Address already in use$"
        ):
            listen("127.0.0.1", port)
