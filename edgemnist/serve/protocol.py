"""One connection: what uvicorn leaves to a proxy in front of it, since here there may be none.

uvicorn waits for a request's header as long as the client likes, and holds as much of it as it is sent.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edgemnist.serve.config import Limits
from edgemnist.serve.faults import RefusedError, bad_request, busy, too_slow
from edgemnist.serve.guard import RAW_SECURITY

MAX_HEADER: Final = 16 * 1024
"""Bytes of a request's header: browsers send less than 1 KB here."""


LAST_REQUEST_S: Final = 1.0
"""How long a new connection may take to ask when the service stops."""


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a limit to connections, to a header's size, and to the time that it takes."""

    limits = Limits()
    """Set by `guarded`."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin a connection, or refuse it where there are too many."""
        self._timer: TimerHandle | None = None
        self._header_bytes = 0
        self._is_last = False
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._refuse(busy("The service has too many connections"))
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self.transport.is_closing():
            return
        leftover = self.cycle is not None and self.cycle.response_complete and self.cycle.more_body
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_timer()
        elif not self._answered:
            self._header_bytes = 0
            self._stop_timer()
            if self._is_last:
                self.cycle.keep_alive = False
        else:
            # Either a header that is not complete, or the rest of a body that was refused and is thrown away.
            if not leftover:
                self._header_bytes += len(data)
                if self._header_bytes > MAX_HEADER:
                    self._refuse(_header_too_large())
                    return
            if self._timer is None:
                self._start_timer()

    def shutdown(self) -> None:
        """End the connection with its request, or at once; one that was opened just now still gets its answer."""
        if self.cycle is not None:
            super().shutdown()
            return
        self._is_last = True
        self._stop_timer()
        self._start_timer(LAST_REQUEST_S)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection on which nothing comes, and one whose client does not take its answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(bad_request(msg, "Speak HTTP/1.1."))

    @property
    def _answered(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _start_timer(self, seconds: float | None = None) -> None:
        self._timer = self.loop.call_later(seconds or self.limits.header_timeout_s, self._out_of_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.cycle is None and self._header_bytes == 0:
            self.transport.close()
        elif self._answered and self.cycle is not None and self.cycle.more_body:
            self.transport.abort()
        else:
            self._refuse(too_slow("The request's header did not arrive in time"))

    def _refuse(self, fault: RefusedError) -> None:
        """Answer without the application, and hang up."""
        self._stop_timer()
        body = msgspec.json.encode(fault.document)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *((name.encode(), value.encode()) for name, value in fault.headers.items() if name != "connection"),
            *RAW_SECURITY,
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = f"HTTP/1.1 {int(fault.status)} {fault.status.phrase}\r\n".encode()
        self.transport.write(status + lines + b"\r\n" + body)
        self.transport.close()


def _header_too_large() -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "too-large",
        f"The header has more than {MAX_HEADER:,} bytes",
        "Send less in it.",
    )


def guarded(limits: Limits) -> type[GuardedProtocol]:
    """Return the protocol with these limits: uvicorn makes the instances itself."""
    return type("LimitedProtocol", (GuardedProtocol,), {"limits": limits})
