"""A running `edgemnist serve`, and ways to ask it."""

import contextlib
import functools
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image, ImageDraw

from benchmarks.serve import attacks
from tests.patience import PATIENCE_S

TOKEN = "0123456789abcdef"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class Service:
    """A process that answers."""

    def __init__(self, process: subprocess.Popen[bytes], started: dict[str, Any]) -> None:
        self.process, self.started = process, started
        self.url = started["url"]
        address = urlsplit(self.url)
        assert address.hostname
        assert address.port
        self.address = (address.hostname, address.port)

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str | None = None,
        kind: str = "image/png",
        **headers: str,
    ) -> Answer:
        """Send a request on a connection of its own; `host_` and the like become headers."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            sent = {name.strip("_").replace("_", "-"): value for name, value in headers.items()}
            if body is not None and kind:
                sent["content-type"] = kind
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def ask_all(self, path: str, bodies: list[bytes]) -> list[Answer]:
        """Send all at once, and return the answers in the same order."""
        with ThreadPoolExecutor(len(bodies)) as clients:
            return list(clients.map(functools.partial(self.ask, path), bodies))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def processes(self) -> list[int]:
        """Return the numbers of the process and of all that it has started."""
        return attacks.processes(self.process.pid)

    def memory(self) -> int:
        """Return the bytes of memory that all its processes have; what they share counts once."""
        return attacks.memory(self.process.pid)

    def own_processor_s(self) -> float:
        """Return the seconds of the processor that the process itself has taken."""
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Keep the most bytes of memory that all processes have while the body runs, in a list of one."""
        most, over = [0], threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                most[0] = max(most[0], self.memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield most
        finally:
            over.set()
            watcher.join()


@contextlib.contextmanager
def serving(exports: Path, *options: str, **popen: Any) -> Iterator[Service]:
    """Run the service for as long as the body runs, and see that SIGTERM ends it cleanly."""
    command = ["-m", "edgemnist", "serve", "--exports", str(exports), "--port", "0", "--json", *options]
    with _running(command, **popen) as service:
        yield service


LIMITED = """
import json, sys
from pathlib import Path
from edgemnist.model.exports import Exports
from edgemnist.serve.cli import show_started
from edgemnist.serve.config import PictureLimits, ServeConfig
from edgemnist.serve.run import open_service

config = ServeConfig(port=0, limits=PictureLimits(**json.loads(sys.argv[2])))
if __name__ == "__main__":
    open_service(Exports.open(Path(sys.argv[1])), config)(lambda result: show_started(result, json=True))
"""
"""Runs the service with limits that the command has no options for."""


@contextlib.contextmanager
def limited(exports: Path, **limits: float) -> Iterator[Service]:
    """Run the service with these limits, and see that SIGTERM ends it cleanly."""
    with _running(["-c", LIMITED, str(exports), json.dumps(limits)]) as service:
        yield service


@contextlib.contextmanager
def _running(command: list[str], **popen: Any) -> Iterator[Service]:
    popen.setdefault("stdout", subprocess.PIPE)
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, **popen)
    try:
        yield Service(process, first_document(process))
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        assert b"Traceback" not in errors, errors


def first_document(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the JSON document that the process prints when it answers."""
    assert process.stdout
    text = b""
    while True:
        line = process.stdout.readline()
        text += line
        if line.rstrip() == b"}":
            document: dict[str, Any] = json.loads(text)
            return document
        assert line, process.stderr.read() if process.stderr else b""


def everything(connection: socket.socket) -> bytes:
    """Return what comes from a connection until it ends."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def seven(side: int = 112, mode: str = "RGBA") -> Image.Image:
    """Return a 7 as the page sends drawings: black on white, in round strokes."""
    large = Image.new("L", (side * 4, side * 4), 255)
    pen = ImageDraw.Draw(large)
    unit = side * 4 / 28
    points = [(8 * unit, 8 * unit), (20 * unit, 7 * unit), (15 * unit, 14 * unit), (12 * unit, 22 * unit)]
    pen.line(points, fill=0, width=round(2 * unit), joint="curve")
    return large.resize((side, side), Image.Resampling.BOX).convert(mode)


def png(image: Image.Image, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format="PNG", **options)
    return stream.getvalue()
