"""A stand-in for the service of a board: python3 standin.py ROOT PORT PIDFILE.

The supervisor holds the listening socket, as systemd does for a service with a `.socket` unit; each worker answers from
the release that was current when it started. On SIGHUP a new worker takes over before the old one ends its requests.
A worker that finds no `tflite-int8` in its release does not come up.
"""

import http.server
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

root, port, pidfile = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the release of its worker."""

    release = ""

    def do_GET(self) -> None:
        """Answer any path."""
        body = json.dumps({"status": "ok", "release": self.release}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep silent."""
        del arguments


class Server(http.server.ThreadingHTTPServer):
    """Serves from a socket that is there already, and ends its requests before it ends."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


def work(listener: socket.socket, ready: int) -> None:
    release = (root / "current").resolve()
    if not (release / "exports" / "tflite-int8.tflite").is_file():
        os._exit(1)
    Handler.release = release.name
    server = Server(listener)
    # shutdown() waits for the loop that this very thread runs.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    os.write(ready, b"1")
    server.serve_forever(poll_interval=0.02)
    server.server_close()
    os._exit(0)


def start_worker(listener: socket.socket) -> int:
    """Start a worker and return its process once it is ready, or 0 where it does not come up."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        work(listener, writer)
    os.close(writer)
    ready = os.read(reader, 1)
    os.close(reader)
    return child if ready else 0


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    worker = start_worker(listener)
    pidfile.write_text(str(os.getpid()))
    while signal.sigwait([signal.SIGHUP, signal.SIGTERM]) == signal.SIGHUP:
        successor = start_worker(listener)
        if worker:
            os.kill(worker, signal.SIGTERM)
        worker = successor
    if worker:
        os.kill(worker, signal.SIGTERM)


main()
