"""uvicorn, told when it answers and when to stop."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn import Config, Server

from edgemnist.serve.config import BACKLOG, Limits
from edgemnist.serve.notify import tell_systemd
from edgemnist.serve.protocol import guarded

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.types import ASGIApp


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
