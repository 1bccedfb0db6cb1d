"""What every request passes: host name, rate, token, security headers, errors as JSON, and the count."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import traceback
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.exceptions import HTTPException

from edgemnist.errors import EdgemnistError
from edgemnist.serve.limits import GoneError, RateLimiter
from edgemnist.serve.metrics import OTHER, Metrics
from edgemnist.serve.refusals import RefusedError, bad_request, refusal_of, stopping

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edgemnist.serve.config import ServeConfig


CONTENT_SECURITY_POLICY: Final = "; ".join([  # noqa: FLY002 - read line by line
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # What was drawn or photographed is shown from memory.
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
])  # fmt: skip

SECURITY: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer. A file input that opens the phone's camera needs no permission of the page."""

RAW_SECURITY: Final = [(name.encode(), value.encode()) for name, value in SECURITY.items()]
NO_STORE: Final = (b"cache-control", b"no-store")
"""For answers that are made for one request; the page's files say how long they keep themselves."""


CLIENT_CLOSED: Final = 499
"""As nginx counts a request whose client went away."""
PATHS: Final = frozenset(
    {"/v1/predict", "/v1/read", "/v1/corrections", "/v1/artifacts", "/healthz", "/metrics", "/openapi.json"}
)
"""That are counted by their own names."""
OPEN: Final = frozenset({"/healthz", "/openapi.json"})
"""Paths that need no token, beside the page, which knows nothing before it has one."""
UNLIMITED: Final = frozenset({"/healthz", "/metrics"})
"""Paths that are not counted against a client's rate: they tell whether the service is well."""
_log = logging.getLogger(__name__)


class RequestMiddleware:
    """Refuses strangers and clients that ask too often, turns failures into JSON, and counts requests."""

    def __init__(self, app: ASGIApp, config: ServeConfig, metrics: Metrics, pages: Collection[str]) -> None:
        """`pages` are the paths of the page's own files, which are counted as one."""
        self._app, self._metrics, self._pages = app, metrics, pages
        self._token = None if config.token is None else config.token.encode()
        self._hosts = config.hosts
        self._rate = RateLimiter(config.limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = perf_counter()
        status = CLIENT_CLOSED
        begun = False

        async def send_secured(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message.get("headers", ()), *RAW_SECURITY]
            await send(message)

        # What Starlette's router looks for before it raises, instead of answering in plain text.
        scope["app"] = self
        self._metrics.in_flight.inc()
        try:
            self._check(scope)
            await self._app(scope, receive, send_secured)
        except GoneError as error:
            _forget_locals(error)
        except asyncio.CancelledError:
            # The service stops, and has waited for as long as it may.
            if not begun:
                await _send(stopping(), send_secured)
        except Exception as error:
            if begun:
                raise
            refused = _refusal(error, scope)
            _forget_locals(error)
            await _send(refused, send_secured)
        finally:
            self._metrics.in_flight.dec()
            path = scope["path"]
            label = "page" if path in self._pages else path if path in PATHS else OTHER
            self._metrics.request(label, status, perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        headers = dict(scope["headers"])
        if sum(key == b"host" for key, _ in scope["headers"]) > 1:
            # A proxy may go by the first of them, and the last counts here.
            raise bad_request("The request has more than one Host header", "Send one.")
        if self._hosts is not None and (name := _host_name(headers.get(b"host", b""))) not in self._hosts:
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "wrong-host",
                f"This service does not answer to the name {name!r}" if name else "The request has no Host header",
                "Use localhost, or ask the operator to allow the name.",
            )
        needs_token = self._token is not None and path not in OPEN and path not in self._pages
        # Compared in constant time: how long it takes tells nothing about the token.
        allowed = not needs_token or hmac.compare_digest(
            _bearer(headers.get(b"authorization", b"")), self._token or b""
        )
        # A guess counts wherever it is made.
        if not (allowed and path in UNLIMITED) and (seconds := self._rate.wait((scope.get("client") or ("",))[0])):
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-requests",
                "This client sends too many requests",
                f"Wait {seconds:.2f} seconds, or send several pictures in one request.",
                headers={"retry-after": str(math.ceil(seconds))},
            )
        if not allowed:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "The request has no valid token",
                "Send the header Authorization: Bearer TOKEN, with the token that the service was started with.",
                headers={"www-authenticate": "Bearer"},
            )


def _forget_locals(error: BaseException | None) -> None:
    """Let go of the bodies in the functions that an error has come through: the futures it has passed keep it alive."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _bearer(authorization: bytes) -> bytes:
    """Return the token of an `Authorization` header; the scheme is written in any case (RFC 9110, section 11.1)."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip(b" ") if scheme.lower() == b"bearer" else b""


def _host_name(host: bytes) -> str:
    """Return the name of a `Host` header without its port."""
    text = host.decode("latin-1").lower()
    return text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]


def _refusal(error: Exception, scope: Scope) -> RefusedError:
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "")
            return RefusedError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method-not-allowed",
                f"{scope['path']} does not take {scope['method']}",
                f"Use {allowed}.",
                headers={"allow": allowed},
            )
        return RefusedError(
            HTTPStatus.NOT_FOUND,
            "not-found",
            f"Nothing is served at {scope['path']}",
            "See /openapi.json for all paths.",
        )
    if isinstance(error, EdgemnistError):
        refused = refusal_of(error)
        if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s: %s. %s", scope["path"], error.message, error.hint)
        return refused
    _log.error("A bug in edgemnist: %s %s", scope["method"], scope["path"], exc_info=error)
    return RefusedError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "defect", "This is a bug in edgemnist", "The log of the service says more."
    )


async def _send(refused: RefusedError, send: Send) -> None:
    body = msgspec.json.encode(refused.document)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        NO_STORE,
        *((name.encode(), value.encode()) for name, value in refused.headers.items()),
    ]
    await send({"type": "http.response.start", "status": int(refused.status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
