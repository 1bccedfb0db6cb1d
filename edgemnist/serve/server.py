"""The ASGI application, and uvicorn with what it leaves to a proxy in front of it, since here there may be none.

uvicorn waits for a request's header as long as the client likes, holds as much of it as it is sent, and takes any
number of requests before the first is answered. `LimitedProtocol` limits all three, so uvicorn's version is pinned.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from prometheus_client import disable_created_metrics
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edgemnist.progress import Reporter
from edgemnist.serve.config import BACKLOG, Limits, ServeConfig
from edgemnist.serve.limits import Memory, network_of
from edgemnist.serve.metrics import Metrics
from edgemnist.serve.middleware import RAW_SECURITY, RequestMiddleware
from edgemnist.serve.models import ModelStore
from edgemnist.serve.refusals import RefusedError, bad_request, busy, too_slow
from edgemnist.serve.routes import Endpoints, page_files
from edgemnist.serve.workers import Lane, Threads

if TYPE_CHECKING:
    from types import FrameType

    from starlette.types import ASGIApp


STOP_S: Final = 1.0
"""For what still runs when everybody who waited for it has been told so."""


def make_app(store: ModelStore, config: ServeConfig) -> tuple[ASGIApp, Callable[[], bool]]:
    """Return the application, and what ends its threads and tells whether they have ended."""
    # When a counter was made is of no use to anybody, and doubles the document.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as the client library has it
    metrics = Metrics(store.default, store.release)
    limits = config.limits
    memory = Memory(limits.decoded_bytes)
    # Drawings do not wait for large pictures. Each connection has one on its way.
    drawings = Lane("drawings", 1, limits.max_connections, limits, memory)
    pictures = Lane("pictures", limits.concurrency, limits.waiting, limits, memory)
    disk = Threads("disk", 1, limits.waiting)
    files = page_files()
    collector = None
    if config.collect is not None:
        collector = config.collect.open(artifact=store.default, release=store.release, reporter=_LogReporter())
    monitor = None
    if config.health is not None:
        from edgemnist.drift.monitor import Monitor

        monitor = Monitor(config.health, store.no_counts, reporter=_LogReporter())
        metrics.watch(monitor)
    shadow = None
    if collector is not None and config.collect is not None and store.release is not None:
        from edgemnist.shadow.runner import Shadow

        shadow = Shadow(store.directory, collector, config.collect.directory, reporter=_LogReporter())
    endpoints = Endpoints(
        store,
        limits,
        metrics,
        drawings=drawings,
        pictures=pictures,
        disk=disk,
        files=files,
        collector=collector,
        monitor=monitor,
        shadow=shadow,
    )

    def close() -> bool:
        if monitor is not None:
            monitor.close()
        if shadow is not None:
            shadow.close()
        if collector is not None:
            collector.close()
        return all([drawings.close(STOP_S), pictures.close(STOP_S), disk.close(STOP_S)])

    return RequestMiddleware(endpoints.router(), config, metrics, files.keys()), close


class _LogReporter(Reporter):
    """Tells in the log what happens while the service runs."""

    def notice(self, message: str) -> None:
        """Log a notice."""
        logging.getLogger(__name__).warning(message)


def run_server(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer until SIGTERM or SIGINT, and end what is under way. Return whether it was SIGINT."""
    # What strangers send that is no HTTP is not worth a line each.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        http=protocol_with(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=round(limits.keep_alive_s),
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


MAX_HEADER: Final = 16 * 1024
"""Bytes of a request's header: browsers send less than 1 KB here."""


_FRAMING: Final = (b"content-length", b"transfer-encoding")


LAST_REQUEST_S: Final = 1.0
"""How long a new connection may take to ask when the service stops."""


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits: connections, requests under way, a header's size, and the time for it and for an answer."""

    limits = Limits()
    """Set by `protocol_with`."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin a connection, or refuse it if there are too many."""
        self._timer: TimerHandle | None = None
        self._header_bytes = 0
        self._framing_bytes = 0
        self._is_last = False
        self._is_overfull = False
        self._is_upgrade = False
        self.network = ""
        self._reading_timer: TimerHandle | None = None
        super().connection_made(transport)
        self.network = network_of((self.client or ("",))[0])
        if len(self.connections) > self.limits.max_connections:
            self._refuse(busy("The service has too many connections"))
        elif self._connections_of_client() > self.limits.max_connections_of_client:
            self._refuse(busy("This client has too many connections"))
        else:
            self._start_timer()

    def _connections_of_client(self) -> int:
        return sum(isinstance(one, LimitedProtocol) and one.network == self.network for one in self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._stop_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self.transport.is_closing():
            return
        leftover = self.cycle is not None and self.cycle.response_complete and self.cycle.more_body
        self._framing_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_timer()
        elif self._framing_bytes > MAX_HEADER and (leftover or not self._answered):
            self._refuse_framing()
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

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._framing_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, and let its framing be as large: chunks of a few bytes cost more than they bring."""
        self._framing_bytes -= 2 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._framing_bytes = 0
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """Take a request, or hang up on a client that sends too many without waiting for answers."""
        if len(self.pipeline) >= self.limits.max_pipelined:
            self._is_overfull = True
            raise ValueError("too many pipelined requests")
        framed = [value.strip(b"0") for name, value in self.headers if name in _FRAMING]
        if self.parser.should_upgrade() and any(framed):
            # The parser takes the body for the other protocol, and hands on none.
            self._is_upgrade = True
            raise ValueError("a body after an upgrade")
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not for ever."""
        super().pause_writing()
        if self._reading_timer is None:
            self._reading_timer = self.loop.call_later(self.limits.stall_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None
        super().resume_writing()

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
        """Refuse what is not HTTP."""
        if self._is_overfull:
            # An answer would be taken for one of those that are still to come.
            self.pipeline.clear()
            self.transport.abort()
            return
        if self._is_upgrade:
            msg, hint = "The request has a body and asks for another protocol", "Send it without the header Upgrade."
        else:
            hint = "Send HTTP/1.1."
        self._refuse(bad_request(msg, hint))

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

    def _refuse_framing(self) -> None:
        """Hang up on chunks, their extensions and trailers that the parser would keep, or join, without an end."""
        if self.pipeline or (self.cycle is not None and self.cycle.response_started):
            self.transport.abort()
        else:
            self._refuse(bad_request("The body has more framing than content", "Send it in larger chunks."))

    def _refuse(self, refused: RefusedError) -> None:
        """Answer without the application, and hang up."""
        self._stop_timer()
        body = msgspec.json.encode(refused.document)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *((name.encode(), value.encode()) for name, value in refused.headers.items() if name != "connection"),
            *RAW_SECURITY,
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = f"HTTP/1.1 {int(refused.status)} {refused.status.phrase}\r\n".encode()
        self.transport.write(status + lines + b"\r\n" + body)
        self.transport.close()


def _header_too_large() -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "too-large",
        f"The header has more than {MAX_HEADER:,} bytes",
        "Send a shorter one.",
    )


def protocol_with(limits: Limits) -> type[LimitedProtocol]:
    """Return the protocol with these limits: uvicorn makes the instances itself."""
    return type("ServiceProtocol", (LimitedProtocol,), {"limits": limits})


def tell_systemd(state: str) -> None:
    """Send a word such as `READY=1`, see sd_notify(3); do nothing where nobody waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        messenger.connect("\0" + address[1:] if address.startswith("@") else address)
        messenger.sendall(state.encode())
