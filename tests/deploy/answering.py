"""What systemd runs from a board's current release, and clients that ask it without a pause."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.booted import booted
from tests.deploy.loopback import free_port
from tests.patience import PATIENCE_S


@contextlib.contextmanager
def answering(root: Path, *shared: Path) -> Iterator[str]:
    """Let systemd run the service of a board whose directory is `root`, for as long as the body runs; its address."""
    current, port = root / "current", free_port()
    address = f"http://127.0.0.1:{port}"
    serve = f"{current}/venv/bin/python -I -m edgemnist serve --exports {current}/exports --systemd --rate 0".split()
    units = [root / "edgemnist.service", root / "edgemnist.socket"]
    for unit, more in zip(units, ([], ["--socket"]), strict=True):
        text = subprocess.run([*serve, "--port", str(port), *more], check=True, capture_output=True, text=True).stdout
        unit.write_text(text.replace("BindReadOnlyPaths=", f"BindReadOnlyPaths={' '.join(map(str, shared))} ", 1))
    with booted(root, *shared) as systemd:
        systemd.run("systemctl", "link", *units)
        systemd.run("systemctl", "start", "edgemnist.service")
        restart = [*systemd.enter, "systemctl", "restart", "edgemnist"]
        settings = f"[service]\nrestart = {restart}\nhealth = '{address}/healthz'\ntimeout = {PATIENCE_S}\n"
        (root / "board.toml").write_text(settings)
        yield address


def ask(address: str, body: bytes | None = None) -> dict[str, Any]:
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
