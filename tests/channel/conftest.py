"""A channel behind a real web server that does what a test wants, and boards whose self-tests end at once."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgemnist.board.agent.store import Store
from edgemnist.fleet.channel import run as channel
from edgemnist.ground.results.boards import PublishResult, PullResult
from edgemnist.ground.storage import sha256
from tests.agent.making import bundle_of, contents_of, record_of, with_environment

PYTHON = """#!/bin/sh
[ -e "$4/bad.tflite" ] && echo '{"passed": false, "reasons": ["it is bad"]}' || echo '{"passed": true}'
"""
"""Stands for the Python of a release: its self-test fails for the bundle `bad`, and passes for all others."""


class Site(ThreadingHTTPServer):
    """Serves the folder `digits`, whose keys are where they are by default if this is somebody's home."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self.keys = home, home / "digits", home / ".config" / "edgemnist" / "digits"
        self.folder.mkdir(parents=True)
        self.wicked: Callable[[str, bytes], Iterable[bytes]] = lambda _, data: [data]
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def publish(self, name: str = "", share: float | None = None, **options: Any) -> PublishResult:
        """Publish a bundle of this name, or none."""
        bundle = self.home / f"{name}.zip" if name else None
        if bundle is not None:
            bundle.write_bytes(bundle_of(record_of(contents_of(name), artifacts=[name])))
        place, keys = options.pop("place", str(self.folder)), options.pop("keys", self.keys)
        return channel.publish(place, keys, bundle, share, **{"most": 0, "key": "", **options})

    @property
    def address(self) -> str:
        """The URL with the fingerprint."""
        return f"http://127.0.0.1:{self.server_port}/#{sha256((self.keys / '1.root.json').read_bytes())}"

    def board(self, name: str = "board") -> Store:
        """Set up an empty board, with its packages."""
        return Store(with_environment(self.home / name, record_of(contents_of("any")), PYTHON))

    def pull(self, board: Store, **options: Any) -> PullResult:
        """Let a board pull, which reports to the server."""
        given = {"report": f"{self.address.partition('#')[0]}reports", "name": board.root.name, "on_step": str}
        return channel.pull(self.address, board.root, **{**given, **options})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # A board keeps its temporary files on its own disk.
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    with Site(tmp_path) as made:
        yield made
        made.shutdown()


def serves(board: Store) -> str | None:
    """Return the artifact of the release that serves, after making sure that it is whole."""
    current = board.current()
    assert current is None or current.problems() == []
    record = current.record() if current else None
    return record.artifacts[0] if record else None


class _Handler(SimpleHTTPRequestHandler):
    server: Site

    def translate_path(self, path: str) -> str:
        return str(self.server.folder / path.lstrip("/"))

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = Path(self.translate_path(self.path))
        self.send_response(200 if path.is_file() else 404)
        self.end_headers()
        # A board that has had enough closes the connection.
        with suppress(OSError):
            for piece in self.server.wicked(self.path, path.read_bytes()):
                self.wfile.write(piece)

    def do_PUT(self) -> None:
        path = Path(self.translate_path(self.path))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass
