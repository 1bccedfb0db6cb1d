"""uvicorn, with what it leaves to a proxy in front of it, since here there may be none.

uvicorn waits for a request's header as long as the client likes, holds as much of it as it is sent, and takes any
number of requests before the first is answered. `LimitedProtocol` limits all three, so uvicorn's version is pinned.
Servers that limit them by themselves were measured beside it: benchmarks/serve/tried.md.
"""

import logging
import signal
import socket
from asyncio import TimerHandle, Transport
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from types import FrameType
from typing import Final

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edgemnist.ground.web.bodies import network_of
from edgemnist.ground.web.config import BACKLOG, Limits, tell_systemd
from edgemnist.ground.web.guard import RAW_SECURITY
from edgemnist.ground.web.refusals import RefusedError, bad_request, busy, too_large, too_slow

MAX_HEADER: Final = 16 * 1024
"""Bytes of a request beside its body: browsers send less than 1 KB here."""
MAX_PIPELINED: Final = 16
"""Requests of a connection that are sent before the one before them is answered; browsers send none."""
KEEP_ALIVE_S: Final = 15
"""Between two requests of a connection."""
LAST_REQUEST_S: Final = 1.0
"""How long a new connection may take to ask when the service stops."""
_OPEN: Final = Counter[str]()
"""Connections of each client."""
_FRAMING: Final = (b"content-length", b"transfer-encoding")


def run_server(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer until SIGTERM or SIGINT, and end what is under way. Return whether it was SIGINT."""
    # What strangers send that is no HTTP is not worth a line each.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # Accepted connections inherit both. Header and body of an answer are two writes, which Python delays otherwise.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The kernel hangs up on a client that takes none of its answer; a weak network is silent for seconds.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(3 * 1000 * limits.header_timeout_s))
    config = Config(
        app,
        # uvicorn makes the instances itself.
        http=type("ServiceProtocol", (LimitedProtocol,), {"limits": limits}),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(limits.drain_s),
    )
    server = _Server(config, started)
    server.run([listener])
    return server.interrupted


class _Server(Server):
    def __init__(self, config: Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start
        self.interrupted = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell_systemd("READY=1")
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would send itself the signal again in the end, and so die of it after a clean shutdown.
        del frame
        tell_systemd("STOPPING=1")
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        self.interrupted = sig == signal.SIGINT


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits: connections, requests sent ahead, bytes beside a body, and time to arrive and be read."""

    limits = Limits()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin a connection, or refuse it if there are too many."""
        self._timer: TimerHandle | None = None
        self._beside_body = 0
        self._is_last = False
        super().connection_made(transport)
        self.network = network_of((self.client or ("",))[0])
        _OPEN[self.network] += 1
        if len(self.connections) > self.limits.max_connections:
            self._refuse(busy("The service has too many connections"))
        elif _OPEN[self.network] > self.limits.max_connections_of_client:
            self._refuse(busy("This client has too many connections"))
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._stop_timer()
        _OPEN[self.network] -= 1
        if not _OPEN[self.network]:
            del _OPEN[self.network]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self.transport.is_closing():
            return
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > MAX_HEADER:
            self._refuse(
                too_large(
                    f"The request has more than {MAX_HEADER:,} bytes beside its body",
                    "Send a shorter header, and a body in larger chunks.",
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                )
            )
        elif self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
            if self._is_last:
                self.cycle.keep_alive = False
        elif self._timer is None and not self.transport.is_closing():
            # A header that is not complete, or the rest of a body that was refused and is thrown away.
            self._start_timer()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, and let its framing be as large: chunks of a few bytes cost more than they bring."""
        self._beside_body -= 2 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._beside_body = 0
        self._stop_timer()
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """Take a request, or refuse what the parser cannot hand on."""
        if len(self.pipeline) >= MAX_PIPELINED:
            # An answer would be taken for one of those that are still to come.
            self.pipeline.clear()
            self.transport.abort()
            raise ValueError("too many requests are sent ahead")
        framed = [value.strip(b"0") for name, value in self.headers if name in _FRAMING]
        if self.parser.should_upgrade() and any(framed):
            # The parser takes the body for the other protocol. Java's own client asks for it by default.
            raise ValueError("a body after an upgrade")
        super().on_headers_complete()

    def shutdown(self) -> None:
        """End the connection with its request, or at once; one that was opened just now still gets its answer."""
        if self.cycle is not None:
            super().shutdown()
            return
        self._is_last = True
        self._stop_timer()
        self._start_timer(LAST_REQUEST_S)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(bad_request(msg, "Send HTTP/1.1, and a body without the header Upgrade."))

    def _start_timer(self, seconds: float | None = None) -> None:
        self._timer = self.loop.call_later(seconds or self.limits.header_timeout_s, self._out_of_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        self._timer = None
        if self.cycle is None and self._beside_body == 0:
            self.transport.close()
        else:
            self._refuse(too_slow("The request's header did not arrive in time"))

    def _refuse(self, refused: RefusedError) -> None:
        """Answer without the application, unless another answer is on its way, and hang up."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if self.pipeline or (cycle and cycle.response_started and (cycle.more_body or not cycle.response_complete)):
            self.transport.abort()
            return
        headers, body = refused.encoded()
        headers = [*(pair for pair in headers if pair[0] != b"connection"), (b"connection", b"close"), *RAW_SECURITY]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = f"HTTP/1.1 {int(refused.status)} {refused.status.phrase}\r\n".encode()
        self.transport.write(status + lines + b"\r\n" + body)
        self.transport.close()
