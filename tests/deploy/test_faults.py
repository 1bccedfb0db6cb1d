"""Everything that goes wrong on the way or on the board: the old release serves, and the next try succeeds."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from edgemnist.agent import SelfTestLimits
from edgemnist.agent.bundle import RECORD_FILE, Archive, encode_archive
from edgemnist.agent.durable import hash_file
from edgemnist.deploy.remote import releases_on
from edgemnist.deploy.run import DeployConfig, LocalBundle, deploy_to
from edgemnist.deploy.target import BoardAddress
from edgemnist.errors import UsageError
from edgemnist.results.boards import BoardResult
from tests.deploy.answering import wait_for
from tests.deploy.bundles import request_for
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, Sshd, kill, processes_with, run_agent
from tests.deploy.proxy import CuttingProxy
from tests.deploy.trying import the_next_try_succeeds
from tests.needs import require
from tests.sweeping import swept

ONCE = DeployConfig(retries=0)
STUBBORN = DeployConfig(retries=3, backoff_s=0.1)


def deploy(board: LoopbackBoard, bundle: LocalBundle, config: DeployConfig = ONCE) -> BoardResult:
    return deploy_to(board.target, bundle, config, lambda _: None)


def test_a_connection_that_is_cut_is_taken_up_again(
    board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, new: str
) -> None:
    with CuttingProxy(sshd.port, cut_after=600_000) as proxy:
        sshd.client_config(board.ssh_config, port=proxy.port)
        result = deploy(board, new_bundle, STUBBORN)
    assert result.fault is None
    assert result.attempts == 2
    assert proxy.cuts == 1
    # The second transfer went on where the first one stopped.
    assert proxy.bytes < 600_000 + new_bundle.bytes
    assert board.serves() == new


@pytest.mark.parametrize("cuts", swept([2, 6], kept=[2]))
def test_cut_anywhere_the_board_serves_a_whole_release_and_the_next_try_succeeds(
    cuts: int, board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, old: str, new: str
) -> None:
    with CuttingProxy(sshd.port) as proxy:
        sshd.client_config(board.ssh_config, port=proxy.port)
        deploy(board, new_bundle)
        whole = proxy.bytes
    run_agent(board.root, "rollback", {"release": None, "wait_s": 5.0})
    for cut_after in random.Random(6).sample(range(whole), cuts):
        for release in board.store.releases():
            if release.name.endswith(new):
                board.store.remove(release)
        with CuttingProxy(sshd.port, cut_after=cut_after) as proxy:
            sshd.client_config(board.ssh_config, port=proxy.port)
            deploy(board, new_bundle)
        assert board.serves() in {old, new}
        sshd.client_config(board.ssh_config)
        assert deploy(board, new_bundle).fault is None
        assert board.serves() == new
        board.everything_is_whole()
        run_agent(board.root, "rollback", {"release": None, "wait_s": 5.0})


def test_a_line_that_goes_silent_is_noticed(
    board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, new: str
) -> None:
    with CuttingProxy(sshd.port, cut_after=500_000, silent=True) as proxy:
        sshd.client_config(board.ssh_config, port=proxy.port)
        result = deploy(board, new_bundle, STUBBORN)
    assert result.fault is None
    assert result.attempts == 2
    assert board.serves() == new


@pytest.mark.parametrize("kills", swept([2, 5], kept=[2]))
@pytest.mark.parametrize("side", ["here", "there"])
def test_killed_at_any_moment_on_either_side_nothing_is_lost(
    side: str, kills: int, board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, old: str, new: str
) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "edgemnist",
        "deploy",
        new_bundle.path,
        "--to",
        board.name,
        "--root",
        board.root,
    ]
    command += ["--ssh-config", board.ssh_config, "--retries", "0"]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - started
    run_agent(board.root, "rollback", {"release": None, "wait_s": 5.0})
    moments = random.Random(side)
    for _ in range(kills):
        for release in board.store.releases():
            if release.name.endswith(new):
                board.store.remove(release)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.1, 1.0) * whole)
        if side == "here":
            kill(process.pid)
        else:
            sshd.kill_sessions()
        process.wait()
        assert board.serves() in {old, new}
        assert deploy(board, new_bundle).fault is None
        assert board.serves() == new
        board.everything_is_whole()
        run_agent(board.root, "rollback", {"release": None, "wait_s": 5.0})


def test_a_board_that_reboots_in_the_middle_comes_back_whole(
    board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, old: str
) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(deploy, board, new_bundle)
        wait_for(lambda: any(board.store.staging.iterdir()))
        sshd.stop()
        sshd.kill_sessions()
        for process in processes_with(str(board.root)):
            kill(process)
        assert running.result().fault is not None
    assert board.serves() == old
    sshd.start()
    the_next_try_succeeds(board, new_bundle)


def test_a_self_test_that_fails_leaves_the_old_release(
    board: LoopbackBoard, bad_bundle: LocalBundle, new_bundle: LocalBundle, old: str
) -> None:
    result = deploy(board, bad_bundle)
    assert result.fault is not None
    assert result.fault.exit_code == 1
    assert "labels changed" in result.fault.message
    assert board.serves() == old
    assert [release.name for release in board.store.releases()] == [f"1-{old}"]
    the_next_try_succeeds(board, new_bundle)


@pytest.mark.usefixtures("real_self_tests")
def test_a_self_test_that_hangs_is_ended(board: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    stopped = threading.Event()

    def stop_it() -> None:
        wait_for(lambda: processes_with("edgemnist.selftest", str(board.store.staging)))
        os.kill(processes_with("edgemnist.selftest", str(board.store.staging))[0], signal.SIGSTOP)
        stopped.set()

    threading.Thread(target=stop_it, daemon=True).start()
    result = deploy(board, new_bundle, DeployConfig(retries=0, limits=SelfTestLimits(timeout_s=3.0)))
    assert stopped.is_set()
    assert result.fault is not None
    assert "hung" in result.fault.message
    assert not processes_with("edgemnist.selftest", str(board.root))
    assert board.serves() == old
    the_next_try_succeeds(board, new_bundle)


@pytest.mark.usefixtures("real_self_tests")
def test_a_self_test_that_crashes_is_told_with_its_signal(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    def crash_it() -> None:
        wait_for(lambda: processes_with("edgemnist.selftest", str(board.store.staging)))
        os.kill(processes_with("edgemnist.selftest", str(board.store.staging))[0], signal.SIGILL)

    threading.Thread(target=crash_it, daemon=True).start()
    result = deploy(board, new_bundle)
    assert result.fault is not None
    assert "SIGILL" in result.fault.message
    assert board.serves() == old
    the_next_try_succeeds(board, new_bundle)


def test_two_deployments_at_once_take_turns(
    board: LoopbackBoard, old_bundle: LocalBundle, new_bundle: LocalBundle, old: str, new: str
) -> None:
    steps: list[str] = []
    with ThreadPoolExecutor() as pool:
        running = [
            pool.submit(deploy_to, board.target, bundle, STUBBORN, steps.append) for bundle in (old_bundle, new_bundle)
        ]
        results = [one.result() for one in running]
    assert [result.fault for result in results] == [None, None]
    assert board.serves() in {old, new}
    board.everything_is_whole()


def test_the_same_bundle_twice_at_once_is_deployed_once_and_nobody_is_refused(
    board: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(deploy, board, new_bundle) for _ in range(3)]
        results = [one.result() for one in running]
    assert [result.fault for result in results] == [None] * 3
    assert sorted(result.status for result in results) == ["deployed", "unchanged", "unchanged"]
    assert board.serves() == new
    board.everything_is_whole()


@pytest.mark.parametrize("name", swept(["a\nb", "a b;c", 'a"b', "a\\b", "[a]*"], kept=["a\nb", "[a]*"]))
def test_a_bundle_may_have_any_name(
    name: str, board: LoopbackBoard, new_bundle: LocalBundle, new: str, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    there = Path(shutil.copy(new_bundle.path, tmp_path / name / "bundle.zip"))
    assert deploy(board, replace(new_bundle, path=there)).fault is None
    assert board.serves() == new


def test_a_root_may_have_any_name_but_none_with_a_line_break(board: LoopbackBoard, new_bundle: LocalBundle) -> None:
    root = board.root.with_name("my; touch 'x' $(boards)")
    root.mkdir()
    (root / "venvs").symlink_to(board.store.venvs)
    odd = replace(board, root=root)
    assert deploy(odd, new_bundle).fault is None
    assert odd.serves() == new_bundle.record.identity()[:12]
    for name in ("a\nb", "a\x1b[2J", " "):
        with pytest.raises(UsageError, match="--root must be a path"):
            BoardAddress.of("board", root=name)
    # A shell takes it for a name, once it is quoted, and Python for a home directory.
    for name in ("~", "~root/boards"):
        with pytest.raises(UsageError, match="except for ~/"):
            BoardAddress.of("board", root=name)


def test_who_does_not_want_to_wait_is_told_who_is_at_work(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    import fcntl

    with board.store.lock.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        result = deploy(board, new_bundle, DeployConfig(retries=0, wait_s=0.2))
        assert result.fault is not None
        assert "4711" in result.fault.message
        assert releases_on(board.target).busy is not None
    assert board.serves() == old
    # The holder is gone, and with it the lock, although its file is still there.
    assert releases_on(board.target).busy is None
    assert deploy(board, new_bundle).fault is None


@pytest.fixture
def small_disk(
    new_board: Callable[[str], LoopbackBoard], old_bundle: LocalBundle, installed: Path
) -> Iterator[LoopbackBoard]:
    """A board with a disk of its own, that serves the old bundle."""
    require("root")
    board = new_board("board")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", board.root], check=True)
    try:
        (board.root / "venvs").symlink_to(installed)
        put_bundle(board.root, old_bundle)
        assert run_agent(board.root, "apply", request_for(old_bundle))["status"] == "deployed"
        # The agent is there, as after any earlier deployment.
        releases_on(board.target)
        yield board
    finally:
        subprocess.run(["umount", "--lazy", board.root], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk but for some bytes."""
    filling = disk / "filling"
    free = os.statvfs(disk)
    filling.write_bytes(bytes(free.f_bavail * free.f_frsize - leave))
    return filling


def test_a_full_disk_is_found_before_anything_is_sent(
    small_disk: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    filling = fill(small_disk.root, leave=200_000)
    result = deploy(small_disk, new_bundle)
    assert result.fault is not None
    assert "MB free" in result.fault.message
    assert small_disk.serves() == old
    filling.unlink()
    the_next_try_succeeds(small_disk, new_bundle)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_disk_that_fills_up_in_the_middle_leaves_the_old_release(
    share: float, small_disk: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    put_bundle(small_disk.root, new_bundle)
    unpacked = sum(file.bytes for file in new_bundle.record.files if not file.path.startswith("wheels/"))
    filling = fill(small_disk.root, leave=int(share * unpacked) // 4096 * 4096)
    answer = run_agent(small_disk.root, "apply", request_for(new_bundle))
    assert "full" in answer["error"]["message"]
    assert small_disk.serves() == old
    filling.unlink()
    the_next_try_succeeds(small_disk, new_bundle)


def test_half_an_installation_does_not_keep_the_disk_full(small_disk: LoopbackBoard, new_bundle: LocalBundle) -> None:
    (small_disk.root / "venvs").unlink()
    put_bundle(small_disk.root, new_bundle)
    free = os.statvfs(small_disk.root).f_bavail
    assert "error" in run_agent(small_disk.root, "apply", request_for(new_bundle))
    assert not list(small_disk.store.venvs.iterdir())
    assert not list(small_disk.store.staging.iterdir())
    # What was sent stays, to be taken up again.
    assert os.statvfs(small_disk.root).f_bavail > free - 16


def test_what_a_power_cut_left_on_a_full_disk_is_removed_before_it_is_judged(
    small_disk: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
    fill(small_disk.root, leave=0).rename(small_disk.store.staging / "filling")
    assert deploy(small_disk, new_bundle).fault is None
    assert small_disk.serves() == new


def test_a_read_only_file_system_is_told_and_changes_nothing(
    small_disk: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk.root], check=True)
    result = deploy(small_disk, new_bundle)
    assert result.fault is not None
    assert "read-only" in result.fault.message
    assert "remount,rw" in result.fault.hint
    assert "read-only" in run_agent(small_disk.root, "rollback", {"release": None, "wait_s": 1.0})["error"]["message"]
    assert small_disk.serves() == old
    subprocess.run(["mount", "-o", "remount,rw", small_disk.root], check=True)
    the_next_try_succeeds(small_disk, new_bundle)


@pytest.mark.needs("faketime")
def test_a_clock_in_1970_confuses_nothing(
    board: LoopbackBoard, sshd: Sshd, old_bundle: LocalBundle, new_bundle: LocalBundle, old: str, new: str
) -> None:
    python = sshd.directory / "bin" / "python3"
    real = python.resolve()
    python.unlink()
    python.write_text(f"#!/bin/sh\nexec faketime '1970-01-02 00:00:00' {real} \"$@\"\n")
    python.chmod(0o755)
    try:
        result = deploy(board, new_bundle)
        listed = releases_on(board.target)
    finally:
        python.unlink()
        python.symlink_to(real)
    assert result.fault is None
    assert [finding.name for finding in result.findings] == ["clock"]
    assert board.serves() == new
    assert listed.releases[-1].deployed_at == "1970-01-02T00:00:00Z" or str(listed.releases[-1].deployed_at).startswith(
        "1970-01-0"
    )
    # The newest is the one that was deployed last, whatever the clock says.
    assert [row.release for row in listed.releases] == [f"1-{old}", f"2-{new}"]
    assert deploy(board, old_bundle).release == f"3-{old}"


def test_a_bundle_changed_by_one_byte_is_refused_on_the_board_too(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    data = bytearray(new_bundle.path.read_bytes())
    data[len(data) // 3] ^= 1
    (board.store.incoming / new_bundle.sha256).write_bytes(data)
    answer = run_agent(board.root, "apply", request_for(new_bundle))
    assert answer["error"]["type"] == "DamagedTransferError"
    assert board.serves() == old
    # What came damaged is gone, so the next transfer starts afresh.
    the_next_try_succeeds(board, new_bundle)


def test_a_part_that_is_not_of_this_bundle_is_sent_again(
    board: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
    part = board.store.incoming / new_bundle.sha256
    part.write_bytes(b"x" * 1000)
    # A deployment that is gone has left it.
    os.utime(part, (1e9, 1e9))
    assert deploy(board, new_bundle, STUBBORN).attempts == 2
    assert board.serves() == new


def reseal(bundle: LocalBundle, target: Path, change: Callable[[bytes], bytes]) -> str:
    """Write a bundle with another record, in the one encoding; return its hash."""
    with Archive(bundle.path) as archive:
        files = {name: archive.read(name) for name in archive.names()}
    files[RECORD_FILE] = change(files[RECORD_FILE])
    target.write_bytes(encode_archive(files))
    return hash_file(target)


@pytest.mark.parametrize(
    ("old_text", "new_text", "said"),
    [
        (b'"machine": "any"', b'"machine": "s390x"', "wheels for s390x"),
        (b'"schema_version": 1', b'"schema_version": 99', "schema version 99"),
        (b'"exports/manifest.json"', b'"exports/../../x.json"', "outside"),
    ],
)
def test_a_bundle_for_something_else_is_refused_by_the_board_itself(
    old_text: bytes, new_text: bytes, said: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str, tmp_path: Path
) -> None:
    sha256 = reseal(new_bundle, tmp_path / "changed.zip", lambda record: record.replace(old_text, new_text))
    (tmp_path / "changed.zip").rename(board.store.incoming / sha256)
    answer = run_agent(board.root, "apply", {**request_for(new_bundle), "sha256": sha256})
    assert answer["error"]["type"] == "BundleError"
    assert said in answer["error"]["message"]
    assert not list(board.store.incoming.iterdir())
    assert board.serves() == old
    the_next_try_succeeds(board, new_bundle)
