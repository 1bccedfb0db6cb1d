"""The ASGI application."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prometheus_client import disable_created_metrics
from uvicorn import Config, Server

from edgemnist.serve.config import BACKLOG, Limits, ServeConfig
from edgemnist.serve.guard import Guard
from edgemnist.serve.limits import Pool
from edgemnist.serve.metrics import Metrics
from edgemnist.serve.models import ModelStore
from edgemnist.serve.page_files import page_files
from edgemnist.serve.protocol import guarded
from edgemnist.serve.routes import Endpoints, Pools
from edgemnist.serve.run import tell_systemd

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.types import ASGIApp


STOP_S: Final = 1.0
"""For what still runs when everybody who waited for it has been told so."""


def make_app(store: ModelStore, config: ServeConfig) -> tuple[ASGIApp, Callable[[], bool]]:
    """Return the application, and what ends its threads and tells whether they have ended."""
    # When a counter was made is of no use to anybody, and doubles the document.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as the client library has it
    metrics = Metrics(store.default, store.release)
    pool = Pool(config.limits.concurrency, config.limits.waiting)
    # Apart from the pictures: what can be asked for is told however many of them are worked on.
    clerk = Pool(1, config.limits.waiting)
    files = page_files()
    endpoints = Endpoints(store, config.limits, metrics, Pools(pictures=pool, files=clerk), files)

    def close() -> bool:
        return all([pool.close(STOP_S), clerk.close(STOP_S)])

    return Guard(endpoints.router(), config, metrics, files.keys()), close


def run_server(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer until SIGTERM or SIGINT, and end what is under way. Return whether it was SIGINT."""
    # What strangers send that is no HTTP is not worth a line each.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        http=guarded(limits),
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
