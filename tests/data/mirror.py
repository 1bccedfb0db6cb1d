"""A mirror on loopback: a real HTTP server, with the failures that real ones have."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Request:
    """What was asked of a mirror."""

    method: str
    name: str


@dataclass
class Mirror:
    """A server of `files`; with its other fields changed, a faulty one."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    """Bytes of the body after which each of the next answers ends."""
    silent: bool = False
    """Never answers at all."""
    stalls_after: int | None = None
    """Bytes of the body after which it falls silent."""
    endless: bool = False
    """Sends a body without an end, whatever is asked for."""
    pause: float = 0.0
    """Seconds between the pieces of an endless body."""
    answers_head: bool = True
    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    """Bytes of bodies."""
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_port}/data/"

    def fetched(self) -> list[str]:
        """Return the name of each request for a body."""
        return [request.name for request in self.requests if request.method == "GET"]


class _Server(ThreadingHTTPServer):
    def __init__(self, mirror: Mirror) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mirror = mirror


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        body = self._answer()
        mirror = self.server.mirror
        while mirror.endless and not mirror.closing.wait(mirror.pause):
            try:
                self.wfile.write(bytes(1 << 16 if not mirror.pause else 1))
            except OSError:
                return
        if mirror.cut_after:
            body = body[: mirror.cut_after.pop(0)]
        if mirror.stalls_after is not None:
            body = body[: mirror.stalls_after]
        mirror.sent += len(body)
        self.wfile.write(body)
        if mirror.stalls_after is not None:
            self.wfile.flush()
            mirror.closing.wait()

    def _answer(self) -> bytes:
        """Send the head of the answer, and return its body."""
        mirror = self.server.mirror
        name = self.path.removeprefix("/data/")
        mirror.requests.append(Request(self.command, name))
        if mirror.silent:
            mirror.closing.wait()
            return b""
        content = mirror.files.get(name) if mirror.answers_head or self.command == "GET" else None
        if content is None and not mirror.endless:
            self.send_error(404)
            return b""
        self.send_response(200)
        if content is not None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content or b""

    def log_message(self, *_: object) -> None:
        """Say nothing."""
