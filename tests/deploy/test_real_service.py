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
from tests.deploy.bundles import bundled, request_for, small_exports
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, Sshd, free_port, run_agent
from tests.deploy.test_faults import wait_for
from tests.serve.service import png, seven

HERE = Path(__file__).parent
DRAWING = png(seven())


@pytest.fixture(scope="module")
def bundles(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalBundle, LocalBundle]:
    """What serves before, and what is to serve, with all that the service needs."""
    directory = tmp_path_factory.mktemp("bundles")
    old = small_exports(made_exports, directory / "old", ["tflite-int8"])
    new = small_exports(made_exports, directory / "new", ["tflite-int8", "tflite-dynamic"])
    return bundled(old, serve=True), bundled(new, serve=True)


@pytest.fixture(scope="module")
def serving_board(
    sshd: Sshd, bundles: tuple[LocalBundle, LocalBundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LoopbackBoard, str]]:
    """A board on which the service answers from the old release, and where it answers."""
    directory = tmp_path_factory.mktemp("board")
    root = directory / "edgemnist"
    board = LoopbackBoard("board", root, sshd.client_config(directory / "ssh_config"))
    put_bundle(root, bundles[0])
    answer = run_agent(root, "apply", request_for(bundles[0], timeout_s=600.0))
    assert answer["status"] == "deployed", answer
    port, pid = free_port(), directory / "pid"
    (root / "board.toml").write_text(
        f"[service]\nrestart = ['sh', '-c', 'kill -HUP $(cat {pid})']\n"
        f"health = 'http://127.0.0.1:{port}/healthz'\ntimeout = 20\n"
    )
    process = subprocess.Popen([sys.executable, HERE / "supervisor.py", root, str(port), pid])
    wait_for(pid.exists)
    yield board, f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait()


def ask(address: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(address, body, {"content-type": "image/png"})
    with urllib.request.urlopen(request, timeout=30) as response:
        document: dict[str, Any] = json.load(response)
        return document


def test_the_service_goes_over_to_a_new_release_and_back_and_no_request_fails(
    serving_board: tuple[LoopbackBoard, str], bundles: tuple[LocalBundle, LocalBundle]
) -> None:
    board, address = serving_board
    old, new = (one.record.identity()[:12] for one in bundles)
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
    result = deploy_to(board.target, bundles[1], DeployConfig(retries=0), lambda _: None)
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


def test_page_and_reading_come_with_the_bundle(serving_board: tuple[LoopbackBoard, str]) -> None:
    _, address = serving_board
    for path in ("/", "/style.css", "/app.js", "/draw.js"):
        with urllib.request.urlopen(f"{address}{path}", timeout=10) as response:
            assert len(response.read()) > 500
    page = Path(HERE.parent / "read" / "pages" / "everything.jpg")
    assert len(ask(f"{address}/v1/read", page.read_bytes())["digits"]) > 10
