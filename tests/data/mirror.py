"""A mirror on loopback: a real HTTP server, with the failures that real ones have."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass
class Mirror:
    """A server of `files`; with its other fields changed, a faulty one."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes of the body after which an answer ends."""
    stalls_after: int | None = None
    """Bytes of the body after which it falls silent."""
    endless: bool = False
    """Sends a body without an end, whatever is asked for."""
    requests: list[str] = field(default_factory=list)
    """Names that were asked for."""
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
        return f"http://127.0.0.1:{self._server.server_port}/data/"


class _Server(ThreadingHTTPServer):
    def __init__(self, mirror: Mirror) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mirror = mirror


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        mirror = self.server.mirror
        name = self.path.removeprefix("/data/")
        mirror.requests.append(name)
        if name not in mirror.files and not mirror.endless:
            self.send_error(404)
            return
        body = mirror.files.get(name, b"")
        self.send_response(200)
        if not mirror.endless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        while mirror.endless and not mirror.closing.is_set():
            try:
                self.wfile.write(bytes(1 << 16))
            except OSError:
                return
        self.wfile.write(body[: mirror.cut_after][: mirror.stalls_after])
        if mirror.stalls_after is not None:
            self.wfile.flush()
            mirror.closing.wait()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
