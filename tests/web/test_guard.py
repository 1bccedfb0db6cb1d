"""Who is let in, the very token and nothing like it, and what everybody else is told."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from edgemnist.errors import ArtifactError, EdgemnistError, UsageError
from edgemnist.ground.results import SCHEMA_VERSION
from edgemnist.ground.web.config import Limits, SiteConfig
from edgemnist.ground.web.guard import SECURITY, RequestGuard
from edgemnist.serve.metrics import Metrics

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
        """Return how many requests were counted."""
        labels = {"path": path, "status": str(status)}
        return self.metrics.registry.get_sample_value("edgemnist_requests_total", labels)


LET_IN = [f"{scheme} {TOKEN} " for scheme in ("Bearer", "bearer", "BEARER", "Bearer  ")]
WRONG = (*(TOKEN[:length] for length in (0, 1, 8, 16, 31)), TOKEN[1:], f"{TOKEN}0", TOKEN.upper(), f"{TOKEN} {TOKEN}")
KEPT_OUT = ["", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}0", *(f"Bearer {wrong}" for wrong in WRONG)]


@pytest.mark.parametrize("authorization", [*LET_IN, *KEPT_OUT])
def test_the_token_lets_in_and_nothing_like_it(authorization: str) -> None:
    status, _, _ = Guarded(SiteConfig(token=TOKEN)).ask(headers={"authorization": authorization})
    assert status == (200 if authorization in LET_IN else 401)


def refusal(error: str, message: str, hint: str) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "error": error, "message": message, "hint": hint, "nearest": None}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "board.lan"])
def test_without_a_token_the_service_answers_to_its_names(host: str) -> None:
    assert Guarded(SiteConfig(names=("board.lan",))).ask(headers={"host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[::2]:8000", "localhos", ""])
def test_other_names_are_refused_unless_a_token_is_asked_for(host: str) -> None:
    """A page of a stranger whose name leads here (DNS rebinding) cannot send the token."""
    guarded = Guarded(SiteConfig())
    status, _, document = guarded.ask(headers={"host": host})
    name = host.removesuffix(":8000")
    said = f"does not answer to the name {name!r}" if host else "has no Host header"
    assert (status, document["error"]) == (421, "wrong-host")
    assert said in document["message"]
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
    guarded = Guarded(SiteConfig(), failure)
    found, headers, answered = guarded.ask()
    assert (found, answered) == (status, document)
    assert headers.get("allow") == ("GET, POST" if status == 405 else None)
    assert guarded.counted("/v1/predict", status) == 1


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
