"""Who is let in: the very token and nothing like it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from edgemnist.serve.config import ServeConfig
from edgemnist.serve.metrics import Metrics
from edgemnist.serve.middleware import RequestMiddleware

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
