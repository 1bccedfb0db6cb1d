"""The application of `edgemnist serve` in other servers than its own, with the limits that each of them has.

    python -m benchmarks.serve.servers NAME OPTION ...     runs `edgemnist serve OPTION ...` in one of `SERVERS`

`benchmarks.serve.attacks --server NAME` measures it. `make setup` installs neither granian nor hypercorn nor Caddy.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import edgemnist.ground.web.protocol
from edgemnist.app import main
from edgemnist.ground.web.config import BACKLOG, Limits
from edgemnist.ground.web.protocol import KEEP_ALIVE_S

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MAX_HEADER: Final = 16 * 1024
CADDYFILE: Final = """
{
    auto_https off
    admin off
    persist_config off
    servers {
        timeouts {
            read_header 5s
            read_body 60s
            idle 15s
        }
        max_header_size 16KB
    }
}
http://127.0.0.1:%d {
    request_body {
        max_size 16MB
    }
    reverse_proxy 127.0.0.1:%d
}
"""


def uvicorn(
    app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None], **options: object
) -> bool:
    """Answer in uvicorn with what it can limit by itself; with `limit_concurrency` it refuses everybody above that."""
    from uvicorn import Config, Server

    class Announced(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    usual = {"lifespan": "off", "ws": "none", "log_config": None, "access_log": False, "backlog": BACKLOG}
    timeouts = {"timeout_keep_alive": KEEP_ALIVE_S, "timeout_graceful_shutdown": round(limits.drain_s)}
    given: dict[str, Any] = {**usual, **timeouts, **options}
    Announced(Config(app, **given)).run([listener])
    return False


def proxied(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer in uvicorn behind Caddy, which has the address that clients are told."""
    port = listener.getsockname()[1]
    listener.close()
    behind = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"Caddyfile-{port}"  # noqa: S108 - of a measurement
    file.write_text(CADDYFILE % (port, behind.getsockname()[1]))
    command = ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as caddy:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    signal.sigtimedwait([], 0.05)
            return uvicorn(app, limits, behind, started)
        finally:
            caddy.terminate()
            file.unlink()


def granian(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer in granian's embedded server; it opens its socket itself."""
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    port = listener.getsockname()[1]
    listener.close()

    async def run() -> None:
        settings = HTTP1Settings(header_read_timeout=round(1000 * limits.header_timeout_s), max_buffer_size=MAX_HEADER)
        server = Server(
            app, port=port, interface=Interfaces.ASGINL, websockets=False, http="1", backlog=BACKLOG,
            backpressure=limits.max_connections, http1_settings=settings, log_enabled=False,
        )  # fmt: skip
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        serving = asyncio.create_task(server.serve())
        await asyncio.sleep(0.5)
        started()
        await serving

    asyncio.run(run())
    return False


def hypercorn(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer in hypercorn."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    # It closes the descriptor itself.
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog, config.h11_max_incomplete_size = BACKLOG, MAX_HEADER
    config.keep_alive_timeout, config.read_timeout = KEEP_ALIVE_S, round(limits.header_timeout_s)
    config.graceful_timeout, config.errorlog = limits.drain_s, None

    async def run() -> None:
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

        async def trigger() -> None:
            await over.wait()

        serving = asyncio.create_task(serve(app, config, shutdown_trigger=trigger))
        await asyncio.sleep(0.5)
        started()
        await serving

    asyncio.run(run())
    return False


def uvicorn_limited(app: ASGIApp, limits: Limits, listener: socket.socket, started: Callable[[], None]) -> bool:
    """Answer in uvicorn with its limit of connections and the slower parser, which limits a header."""
    options = {"http": "h11", "h11_max_incomplete_event_size": MAX_HEADER, "limit_concurrency": 512}
    return uvicorn(app, limits, listener, started, **options)


SERVERS: Final[dict[str, Callable[..., bool]]] = {
    "own": edgemnist.ground.web.protocol.run_server,
    "uvicorn": uvicorn,
    "uvicorn-h11": uvicorn_limited,
    "uvicorn-caddy": proxied,
    "granian": granian,
    "hypercorn": hypercorn,
}


if __name__ == "__main__":
    edgemnist.ground.web.protocol.run_server = SERVERS[sys.argv[1]]
    sys.argv[1:2] = ["serve"]
    main()
