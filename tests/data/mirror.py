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
    start: int
    """Where the wanted range begins; 0 where everything was wanted."""


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
    understands_ranges: bool = True
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

    def fetched(self) -> list[tuple[str, int]]:
        """Return name and start of each request for a body."""
        return [(request.name, request.start) for request in self.requests if request.method == "GET"]


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
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        mirror.requests.append(Request(self.command, name, start))
        if mirror.silent:
            mirror.closing.wait()
            return b""
        content = mirror.files.get(name) if mirror.answers_head or self.command == "GET" else None
        offset = start if mirror.understands_ranges else 0
        if content is None or offset >= len(content):
            self.send_error(404 if content is None else 416)
            return b""
        self.send_response(206 if offset else 200)
        if offset:
            self.send_header("Content-Range", f"bytes {offset}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - offset))
        self.end_headers()
        return content[offset:]

    def log_message(self, *_: object) -> None:
        """Say nothing."""
