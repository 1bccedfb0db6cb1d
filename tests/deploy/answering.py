"""What answers from a board's current release, and clients that ask it without a pause."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.deploy.loopback import free_port
from tests.patience import PATIENCE_S

HERE = Path(__file__).parent


@contextlib.contextmanager
def answering(root: Path, *, timeout_s: float) -> Iterator[str]:
    """Run the service of a board, whose directory is `root`, for as long as the body runs; yield its address."""
    port, pid = free_port(), root.parent / "pid"
    address = f"http://127.0.0.1:{port}"
    (root / "board.toml").write_text(
        f"[service]\nrestart = ['sh', '-c', 'kill -HUP $(cat {pid})']\n"
        f"health = '{address}/healthz'\ntimeout = {timeout_s:g}\n"
    )
    process = subprocess.Popen([sys.executable, HERE / "supervisor.py", root, str(port), pid])
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
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
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


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until something is the case."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
