"""What every request passes through: its name, rate and token, security headers, errors as JSON, and the count."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from edgemnist.ground.web.bodies import RateLimiter
from edgemnist.ground.web.refusals import RefusedError, bad_request, busy, refusal_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edgemnist.ground.web.config import SiteConfig


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
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
"""On every answer."""

RAW_SECURITY: Final = [(name.encode(), value.encode()) for name, value in SECURITY.items()]
CLIENT_CLOSED: Final = 499
"""As nginx counts a request whose client went away."""
OPEN: Final = frozenset({"/healthz", "/openapi.json"})
"""Paths that need no token, beside the page, which knows nothing before it has one."""
UNLIMITED: Final = frozenset({"/healthz", "/metrics"})
"""Paths that are not counted against a client's rate: they tell whether the service is well."""


class RequestGuard:
    """Refuses strangers and clients that ask too often, turns failures into JSON, and counts requests."""

    def __init__(
        self,
        app: ASGIApp,
        config: SiteConfig,
        pages: Collection[str],
        observe: Callable[[str, int, float], None] = lambda *_: None,
    ) -> None:
        """`pages` are the paths of the page's own files; `observe` gets each path, status, and the seconds taken."""
        self._app, self._pages, self._observe = app, pages, observe
        self._token = None if config.token is None else config.token.encode()
        self._hosts = config.hosts
        self._rate = RateLimiter(config.limits.rate)
        self.in_flight = 0
        """Requests that are being answered."""

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

        async def refuse(refused: RefusedError) -> None:
            headers, body = refused.encoded()
            await send_secured({"type": "http.response.start", "status": int(refused.status), "headers": headers})
            await send_secured({"type": "http.response.body", "body": body})

        # What Starlette's router looks for before it raises, instead of answering in plain text.
        scope["app"] = self
        self.in_flight += 1
        try:
            self._check(scope)
            await self._app(scope, receive, send_secured)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            # The service stops, and has waited for as long as it may.
            if not begun:
                await refuse(busy("The service is stopping"))
        except Exception as error:
            if begun:
                raise
            await refuse(refusal_of(error, scope["method"], scope["path"]))
        finally:
            self.in_flight -= 1
            self._observe(scope["path"], status, perf_counter() - started)

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
        admits = not needs_token or hmac.compare_digest(_bearer(headers.get(b"authorization", b"")), self._token or b"")
        # A guess counts wherever it is made.
        if not (admits and path in UNLIMITED) and (seconds := self._rate.wait((scope.get("client") or ("",))[0])):
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-requests",
                "This client sends too many requests",
                f"Wait {seconds:.2f} seconds, or send several pictures in one request.",
                headers={"retry-after": str(math.ceil(seconds))},
            )
        if not admits:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "The request has no valid token",
                "Send the header Authorization: Bearer TOKEN, with the token that the service was started with.",
                headers={"www-authenticate": "Bearer"},
            )


def _bearer(authorization: bytes) -> bytes:
    """Return the token of an `Authorization` header; the scheme is written in any case (RFC 9110, section 11.1)."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip(b" ") if scheme.lower() == b"bearer" else b""


def _host_name(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    return text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]
