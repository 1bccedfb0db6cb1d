"""`edgemnist serve` itself on a board: from a bundle of its own, through a switch of the release, and back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemnist.deploy.remote import rollback_on
from edgemnist.deploy.sequence import DeployConfig, LocalBundle, deploy_to
from tests.deploy.loopback import LoopbackBoard, free_port
from tests.deploy.test_faults import wait_for
from tests.serve.service import png, seven

HERE = Path(__file__).parent
DRAWING = png(seven())


@pytest.fixture
def address(board: LoopbackBoard, tmp_path: Path) -> Iterator[str]:
    """Where the service answers from the board's current release."""
    port, pid = free_port(), tmp_path / "pid"
    (board.root / "board.toml").write_text(
        f"[service]\nrestart = ['sh', '-c', 'kill -HUP $(cat {pid})']\n"
        f"health = 'http://127.0.0.1:{port}/healthz'\ntimeout = 20\n"
    )
    process = subprocess.Popen([sys.executable, HERE / "supervisor.py", board.root, str(port), pid])
    wait_for(pid.exists)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait()


def ask(address: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(address, body, {"content-type": "image/png"})
    with urllib.request.urlopen(request, timeout=30) as response:
        document: dict[str, Any] = json.load(response)
        return document


def test_the_service_goes_over_to_a_new_release_and_back_and_no_request_fails(
    board: LoopbackBoard, address: str, new_bundle: LocalBundle, old: str, new: str
) -> None:
    assert ask(f"{address}/healthz")["release"] == f"1-{old}"
    answers: Counter[int] = Counter()
    failures: list[BaseException] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                answers[ask(f"{address}/v1/predict", DRAWING)["predictions"][0]["digit"]] += 1
            except OSError as error:
                failures.append(error)

    client = threading.Thread(target=load)
    client.start()
    result = deploy_to(board.target, new_bundle, DeployConfig(retries=0), lambda _: None)
    assert result.fault is None
    assert ask(f"{address}/healthz")["release"] == f"2-{new}"
    names = [one["name"] for one in ask(f"{address}/v1/artifacts")["artifacts"]]
    assert names == ["tflite-int8", "tflite-dynamic"]
    rollback_on(board.target, None, 5.0)
    assert ask(f"{address}/healthz")["release"] == f"1-{old}"
    stop.set()
    client.join()
    assert failures == []
    assert set(answers) == {7}
    assert answers[7] > 10


def test_page_and_reading_come_with_the_bundle(address: str) -> None:
    for path in ("/", "/style.css", "/app.js", "/draw.js"):
        with urllib.request.urlopen(f"{address}{path}", timeout=10) as response:
            assert len(response.read()) > 500
    page = Path(HERE.parent / "read" / "pages" / "everything.jpg")
    assert len(ask(f"{address}/v1/read", page.read_bytes())["digits"]) > 10
