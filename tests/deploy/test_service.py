"""The service of a board: it is restarted, has to come up, and nobody who asks meanwhile is turned away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemnist.deploy.remote import rollback_on
from edgemnist.deploy.sequence import DeployConfig, LocalBundle, deploy_to
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, free_port, run_agent
from tests.deploy.test_faults import wait_for

HERE = Path(__file__).parent
ONCE = DeployConfig(retries=0)


@pytest.fixture
def address(board: LoopbackBoard, tmp_path: Path) -> Iterator[str]:
    """Where a service answers from the board's current release."""
    port, pid = free_port(), tmp_path / "pid"
    (board.root / "board.toml").write_text(
        f"[service]\nrestart = ['sh', '-c', 'kill -HUP $(cat {pid})']\n"
        f"health = 'http://127.0.0.1:{port}/healthz'\ntimeout = 5\n"
    )
    process = subprocess.Popen([sys.executable, HERE / "standin.py", board.root, str(port), pid])
    wait_for(pid.exists)
    yield f"http://127.0.0.1:{port}/healthz"
    process.send_signal(signal.SIGTERM)
    process.wait()


def ask(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as response:
        release: str = json.load(response)["release"]
        return release


def test_no_request_fails_while_the_release_is_switched(
    board: LoopbackBoard, address: str, new_bundle: LocalBundle, old: str, new: str
) -> None:
    answers: Counter[str] = Counter()
    failures: list[BaseException] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                answers[ask(address)] += 1
            except OSError as error:
                failures.append(error)

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(2):
        assert deploy_to(board.target, new_bundle, ONCE, lambda _: None).fault is None
        assert ask(address).endswith(new)
        rollback_on(board.target, None, 5.0)
        assert ask(address).endswith(old)
    stop.set()
    for client in clients:
        client.join()
    assert failures == []
    assert {answer.partition("-")[2] for answer in answers} == {old, new}
    assert sum(answers.values()) > 200


def test_a_service_that_does_not_come_up_goes_back_to_the_old_release(
    board: LoopbackBoard, address: str, made_exports: Path, old: str, tmp_path: Path
) -> None:
    # The service of this board needs tflite-int8.
    other = bundled(small_exports(made_exports, tmp_path / "other", ["tflite-dynamic"]))
    result = deploy_to(board.target, other, ONCE, lambda _: None)
    assert result.fault is not None
    assert result.fault.exit_code == 1
    assert "did not come up" in result.fault.message
    assert f"release 1-{old} serves again" in result.fault.message
    assert board.serves() == old
    assert ask(address) == f"1-{old}"
    assert board.store.pending() is None


def test_a_service_that_cannot_be_restarted_goes_back(board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    (board.root / "board.toml").write_text("[service]\nrestart = ['false']\n")
    result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
    assert result.fault is not None
    assert "cannot be restarted" in result.fault.message
    assert board.serves() == old


def test_a_switch_that_was_cut_off_before_the_service_was_seen_is_undone_where_it_is_not_well(
    board: LoopbackBoard, address: str, made_exports: Path, old: str, new_bundle: LocalBundle, new: str, tmp_path: Path
) -> None:
    other = bundled(small_exports(made_exports, tmp_path / "other", ["tflite-dynamic"]))
    (board.root / "board.toml").rename(tmp_path / "board.toml")
    release = deploy_to(board.target, other, ONCE, lambda _: None).release
    assert release is not None
    (tmp_path / "board.toml").rename(board.root / "board.toml")
    board.store.begin_switch(f"1-{old}", release)
    assert run_agent(board.root, "releases")["pending"] == release
    result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
    assert result.fault is None
    # What served before is the release that the switch had come from.
    assert result.previous == f"1-{old}"
    assert ask(address).endswith(new)


def test_an_old_process_that_never_went_away_does_not_pass_for_the_new_release(
    board: LoopbackBoard, address: str, new_bundle: LocalBundle, old: str
) -> None:
    settings = board.root / "board.toml"
    settings.write_text(settings.read_text().replace("kill -HUP", "kill -0").replace("timeout = 5", "timeout = 1"))
    started = time.monotonic()
    result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
    assert time.monotonic() - started > 1
    assert result.fault is not None
    assert f"still answers from release 1-{old}" in result.fault.message
    assert ask(address) == f"1-{old}"


@pytest.mark.parametrize("text", ["[service]\nrestart = 'x'", "[service", "[service]\nrestrat = ['x']"])
def test_settings_that_make_no_sense_are_told_and_nothing_is_switched(
    text: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    (board.root / "board.toml").write_text(text)
    result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
    assert result.fault is not None
    assert "board.toml" in result.fault.message
    assert board.serves() == old
