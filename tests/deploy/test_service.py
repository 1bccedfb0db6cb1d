"""The service of a board: it is restarted and has to come up; else the old release serves again.

A stand-in answers here, which starts at once: that nobody is turned away is shown with the service itself, in
`test_real_service.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemnist.agent.service import UNIT, find_service
from edgemnist.deploy.run import DeployConfig, LocalBundle, deploy_to
from tests.deploy.answering import answering, ask
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, run_agent
from tests.deploy.trying import the_next_try_succeeds

ONCE = DeployConfig(retries=0)


@pytest.fixture
def address(board: LoopbackBoard) -> Iterator[str]:
    """Where a service answers from the board's current release."""
    with answering(board.root, "standin.py", timeout_s=5) as address:
        yield address


def serving(address: str) -> str:
    """Return the release that answers."""
    release: str = ask(f"{address}/healthz")["release"]
    return release


def comes_to_serve(address: str, release: str) -> bool:
    """Tell whether a release answers soon: the worker of the one before may take a request while it ends."""
    until = time.monotonic() + 10
    while serving(address) != release and time.monotonic() < until:
        time.sleep(0.05)
    return serving(address) == release


def test_a_service_that_does_not_come_up_goes_back_to_the_old_release(
    board: LoopbackBoard, address: str, made_exports: Path, old: str, new_bundle: LocalBundle, new: str, tmp_path: Path
) -> None:
    # The service of this board needs tflite-int8.
    other = bundled(small_exports(made_exports, tmp_path / "other", ["tflite-dynamic"]))
    result = deploy_to(board.target, other, ONCE, lambda _: None)
    assert result.fault is not None
    assert result.fault.exit_code == 1
    assert "did not come up" in result.fault.message
    assert f"release 1-{old} serves again" in result.fault.message
    assert board.serves() == old
    assert serving(address) == f"1-{old}"
    assert board.store.pending() is None
    # What has never served is nothing to come back to.
    assert [release.name for release in board.store.releases()] == [f"1-{old}"]
    the_next_try_succeeds(board, new_bundle)
    assert comes_to_serve(address, f"2-{new}")


def test_a_service_that_cannot_be_restarted_goes_back(board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    (board.root / "board.toml").write_text("[service]\nrestart = ['false']\n")
    result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
    assert result.fault is not None
    assert "cannot be restarted" in result.fault.message
    assert board.serves() == old
    (board.root / "board.toml").unlink()
    the_next_try_succeeds(board, new_bundle)


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
    assert serving(address).endswith(new)


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
    assert serving(address) == f"1-{old}"


@pytest.mark.parametrize("text", ["[service]\nrestart = 'x'", "[service", "[service]\nrestrat = ['x']"])
def test_settings_that_make_no_sense_are_told_and_nothing_is_switched(
    text: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    (board.root / "board.toml").write_text(text)
    result = deploy_to(board.target, new_bundle, ONCE, lambda _: None)
    assert result.fault is not None
    assert "board.toml" in result.fault.message
    assert board.serves() == old


@pytest.mark.parametrize(
    ("enabled", "restart"),
    [
        ("--user is-enabled", ["systemctl", "--user", "restart", UNIT]),
        ("is-enabled", ["systemctl", "restart", UNIT]),
        ("nothing", []),
    ],
)
def test_a_systemd_unit_is_found_without_settings(
    enabled: str, restart: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No test may touch the units of this machine.
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ "$*" = "{enabled} {UNIT}" ]\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_service(tmp_path / "board.toml").restart == restart
