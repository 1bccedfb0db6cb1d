"""What answers from a board's current release, and clients that ask it without a pause."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.deploy.loopback import free_port

HERE = Path(__file__).parent


@contextlib.contextmanager
def answering(
    root: Path, program: str, *options: str | Path, timeout_s: float, within: Sequence[str | Path] = ()
) -> Iterator[str]:
    """Run a supervisor of this directory for as long as the body runs, as the board's service; yield its address.

    `root` is the board's directory, and `within` the command that enters the board.
    """
    port, pid = free_port(), root.parent / "pid"
    address = f"http://127.0.0.1:{port}"
    (root / "board.toml").write_text(
        f"[service]\nrestart = ['sh', '-c', 'kill -HUP $(cat {pid})']\n"
        f"health = '{address}/healthz'\ntimeout = {timeout_s:g}\n"
    )
    command = [sys.executable, HERE / program, root, str(port), pid, *options]
    process = subprocess.Popen(command, env={**os.environ, "WITHIN": json.dumps([str(word) for word in within])})
    wait_for(pid.exists)
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        # Whoever deploys next finds no service.
        (root / "board.toml").unlink()
        pid.unlink()


def ask(address: str, body: bytes | None = None) -> dict[str, Any]:
    """Return the JSON document that an address answers."""
    request = urllib.request.Request(address, body, {"content-type": "image/png"})
    with urllib.request.urlopen(request, timeout=30) as response:
        document: dict[str, Any] = json.load(response)
        return document


@contextlib.contextmanager
def load(clients: int, one: Callable[[], object]) -> Iterator[tuple[list[Any], list[OSError]]]:
    """Ask without a pause for as long as the body runs: answers and failures, complete when it has ended."""
    answers: list[Any] = []
    failures: list[OSError] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                answers.append(one())
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers, failures
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is the case."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
