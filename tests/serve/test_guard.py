"""Who is let in, the very token and nothing like it, and what everybody else is told."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException

from edgemnist.errors import ArtifactError, EdgemnistError, UsageError
from edgemnist.results import SCHEMA_VERSION
from edgemnist.serve.config import Limits, ServeConfig
from edgemnist.serve.limits import GoneError
from edgemnist.serve.metrics import Metrics
from edgemnist.serve.middleware import SECURITY, RequestMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

TOKEN = "0123456789abcdef0123456789abcdef"


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def status_of(authorization: bytes | None) -> int:
    """Return the status of an answer to a request with this `Authorization` header."""
    guard = RequestMiddleware(application, ServeConfig(token=TOKEN), Metrics("tflite-int8", ""), pages=())
    headers = [(b"host", b"localhost"), *([(b"authorization", authorization)] if authorization is not None else [])]
    scope = {"type": "http", "method": "GET", "path": "/v1/artifacts", "headers": headers, "client": ("127.0.0.1", 1)}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(guard(scope, receive, send))
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_lets_in(scheme: str) -> None:
    assert status_of(f"{scheme} {TOKEN}".encode()) == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        *(f"Bearer {TOKEN[:length]}".encode() for length in (1, 8, 16, len(TOKEN) - 1)),
        f"Bearer {TOKEN[1:]}".encode(),
        f"Bearer {TOKEN}0".encode(),
        f"Bearer {TOKEN.upper()}".encode(),
        f"Bearer {TOKEN[:-1]}0".encode(),
        f"Basic {TOKEN}".encode(),
        TOKEN.encode(),
        f"Bearer {TOKEN} {TOKEN}".encode(),
    ],
)
def test_nothing_like_the_token_lets_in(authorization: bytes | None) -> None:
    assert status_of(authorization) == 401


Answer = tuple[int, dict[str, str], dict[str, Any]]
"""Status, headers and document."""


class Guarded:
    """The middleware before an application that answers 200, or fails with `failure`."""

    def __init__(self, config: ServeConfig, failure: BaseException | None = None, *, begun: bool = False) -> None:
        self.metrics = Metrics("tflite-int8", "")
        self.failure, self.begun = failure, begun
        self._guard = RequestMiddleware(self._answer, config, self.metrics, pages={"/", "/app.js"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["app"] is self._guard
        assert self.metrics.registry.get_sample_value("edgemnist_requests_in_flight") == 1
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
        assert self.metrics.registry.get_sample_value("edgemnist_requests_in_flight") == 0
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
        """Return how many requests were counted."""
        labels = {"path": path, "status": str(status)}
        return self.metrics.registry.get_sample_value("edgemnist_requests_total", labels)


def refusal(error: str, message: str, hint: str) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "error": error, "message": message, "hint": hint, "nearest": None}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "board.lan"])
def test_without_a_token_the_service_answers_to_its_names(host: str) -> None:
    assert Guarded(ServeConfig(names=("board.lan",))).ask(headers={"host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[::2]:8000", "localhos", ""])
def test_other_names_are_refused_unless_a_token_is_asked_for(host: str) -> None:
    """A page of a stranger whose name leads here (DNS rebinding) cannot send the token."""
    guarded = Guarded(ServeConfig())
    status, _, document = guarded.ask(headers={"host": host})
    name = host.removesuffix(":8000")
    words = f"This service does not answer to the name {name!r}" if host else "The request has no Host header"
    assert (status, document) == (
        421,
        refusal("wrong-host", words, "Use localhost, or ask the operator to allow the name."),
    )
    assert guarded.counted("/v1/predict", 421) == 1
    bearer = {"host": host, "authorization": f"Bearer {TOKEN}"}
    assert Guarded(ServeConfig(token=TOKEN)).ask(headers=bearer)[0] == 200


def test_the_page_and_the_state_of_the_service_need_no_token() -> None:
    guarded = Guarded(ServeConfig(token=TOKEN))
    for path in ("/", "/app.js", "/healthz", "/openapi.json"):
        assert guarded.ask(path)[0] == 200
    for path in ("/v1/predict", "/v1/read", "/metrics", "/app"):
        status, headers, document = guarded.ask(path)
        assert status == 401
        assert headers["www-authenticate"] == "Bearer"
        assert document == refusal(
            "unauthorized",
            "The request has no valid token",
            "Send the header Authorization: Bearer TOKEN, with the token that the service was started with.",
        )
    assert Guarded(ServeConfig()).ask("/metrics")[0] == 200


def test_spaces_around_a_token_are_no_part_of_it() -> None:
    assert status_of(f"Bearer   {TOKEN} ".encode()) == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_back_and_the_others_are_not() -> None:
    guarded = Guarded(ServeConfig(limits=Limits(rate=0.3)))
    assert guarded.ask()[0] == 200
    status, headers, document = guarded.ask()
    assert status == 429
    assert headers["retry-after"] == "4"
    assert document["error"] == "too-many-requests"
    assert document["message"] == "This client sends too many requests"
    assert re.fullmatch(r"Wait 3\.\d\d seconds, or send several pictures in one request\.", document["hint"])
    assert guarded.ask(client="192.0.2.2")[0] == 200
    # Whether the service is well can be asked at any rate; a client without an address is one, too.
    assert [guarded.ask(path)[0] for path in ("/healthz", "/metrics") for _ in range(3)] == [200] * 6
    assert [guarded.ask(client=None)[0] for _ in range(2)] == [200, 429]


def test_guesses_of_the_token_count_wherever_they_are_made() -> None:
    guarded = Guarded(ServeConfig(token=TOKEN, limits=Limits(rate=0.3)))
    assert [guarded.ask("/metrics")[0] for _ in range(3)] == [401, 429, 429]
    assert guarded.ask("/metrics", {"authorization": f"Bearer {TOKEN}"})[0] == 200


def test_requests_are_counted_by_path_and_status_and_strangers_make_up_no_paths() -> None:
    guarded = Guarded(ServeConfig())
    for path in ("/", "/app.js", "/v1/read", "/made/up", "/other"):
        guarded.ask(path)
    assert [guarded.counted(path, 200) for path in ("page", "/v1/read", "other")] == [2, 1, 2]
    seconds = guarded.metrics.registry.get_sample_value("edgemnist_request_seconds_sum", {"path": "/v1/read"})
    assert seconds is not None
    assert 0 < seconds < 5


@pytest.mark.parametrize(
    ("failure", "status", "document"),
    [
        (
            HTTPException(404),
            404,
            refusal("not-found", "Nothing is served at /v1/predict", "See /openapi.json for all paths."),
        ),
        (
            HTTPException(405, headers={"Allow": "GET, POST"}),
            405,
            refusal("method-not-allowed", "/v1/predict does not take PUT", "Use GET, POST."),
        ),
        (UsageError("What is wrong", hint="What to do."), 400, refusal("wrong-usage", "What is wrong", "What to do.")),
        (
            ValueError("a bug"),
            500,
            refusal("defect", "This is a bug in edgemnist", "The log of the service says more."),
        ),
        (asyncio.CancelledError(), 503, refusal("busy", "The service is stopping", "Try again.")),
    ],
)
def test_a_failure_is_a_document_that_says_what_to_do(
    failure: BaseException, status: int, document: dict[str, Any]
) -> None:
    guarded = Guarded(ServeConfig(), failure)
    found, headers, answered = guarded.ask()
    assert (found, answered) == (status, document)
    assert headers.get("allow") == ("GET, POST" if status == 405 else None)
    assert guarded.counted("/v1/predict", status) == 1


def test_what_the_log_says_of_a_failure_is_not_told_to_clients(caplog: pytest.LogCaptureFixture) -> None:
    damaged = ArtifactError("/secret/path is damaged", hint="Write it again.")
    status, _, document = Guarded(ServeConfig(), damaged).ask()
    assert status == 503
    assert "secret" not in json.dumps(document)
    assert caplog.messages == ["/v1/predict: /secret/path is damaged. Write it again."]
    caplog.clear()
    Guarded(ServeConfig(), ValueError("a bug")).ask()
    assert caplog.messages == ["A bug in edgemnist: PUT /v1/predict"]
    assert caplog.records[0].exc_info is not None
    caplog.clear()
    failed = EdgemnistError("/secret/path is full", hint="Make room.")
    assert Guarded(ServeConfig(), failed).ask()[0] == 500
    assert caplog.messages == ["/v1/predict: /secret/path is full. Make room."]
    caplog.clear()
    # What the client can do something about is not the operator's concern.
    Guarded(ServeConfig(), UsageError("What is wrong")).ask()
    assert caplog.messages == []


def test_an_answer_that_has_begun_is_not_followed_by_a_second_one() -> None:
    with pytest.raises(ValueError, match="a bug"):
        Guarded(ServeConfig(), ValueError("a bug"), begun=True).ask()
    assert Guarded(ServeConfig(), asyncio.CancelledError(), begun=True).ask()[0] == 200


def test_a_client_that_went_away_is_counted_and_not_answered() -> None:
    guarded = Guarded(ServeConfig(), GoneError())
    assert guarded.ask()[0] == 0
    assert guarded.counted("/v1/predict", 499) == 1


def test_the_bodies_that_an_error_came_through_are_let_go_of() -> None:
    def fail(cause: Exception | None) -> None:
        body = bytes(1_000)
        if cause is not None:
            raise ValueError(len(body)) from cause
        raise KeyError(len(body))

    try:
        try:
            fail(None)
        except KeyError as error:
            first = error
        fail(first)
    except ValueError as error:
        frames = [error.__traceback__, first.__traceback__]
        guarded = Guarded(ServeConfig(), error)
        assert guarded.ask()[0] == 500
    for trace in frames:
        assert trace is not None
        assert trace.tb_next is not None
        assert trace.tb_next.tb_frame.f_locals == {}
