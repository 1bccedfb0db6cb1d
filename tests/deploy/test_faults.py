"""Everything that goes wrong on the way or on the board: the old release serves, and the next try succeeds."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from edgemnist.errors import UsageError
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, releases_on
from edgemnist.fleet.deploy.target import BoardAddress
from edgemnist.ground.results.boards import BoardResult
from tests.deploy.bundles import request_for
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import LoopbackBoard, Sshd, run_agent, the_next_try_succeeds
from tests.deploy.proxy import CuttingProxy
from tests.needs import require
from tests.sweeping import swept

ONCE = DeployConfig(retries=0)
STUBBORN = DeployConfig(retries=3, backoff_s=0.1)


def deploy(board: LoopbackBoard, bundle: LocalBundle, config: DeployConfig = ONCE) -> BoardResult:
    return deploy_to(board.target, bundle, config, lambda _: None)


def forget(board: LoopbackBoard, new: str) -> None:
    """Let the old release serve again, and remove the new one."""
    run_agent(board.root, "rollback", {"release": None, "wait_s": 5.0})
    for release in board.store.releases():
        if release.name.endswith(new):
            board.store.remove(release)


def test_a_cut_connection_is_taken_up_again(
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
    for cut_after in random.Random(6).sample(range(whole), cuts):
        forget(board, new)
        with CuttingProxy(sshd.port, cut_after=cut_after) as proxy:
            sshd.client_config(board.ssh_config, port=proxy.port)
            deploy(board, new_bundle)
        assert board.serves() in {old, new}
        sshd.client_config(board.ssh_config)
        the_next_try_succeeds(board, new_bundle)


def test_a_line_gone_silent_is_noticed(board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, new: str) -> None:
    with CuttingProxy(sshd.port, cut_after=500_000, silent=True) as proxy:
        sshd.client_config(board.ssh_config, port=proxy.port)
        result = deploy(board, new_bundle, STUBBORN)
    assert result.fault is None
    assert result.attempts == 2
    assert board.serves() == new


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


def test_bundle_and_root_have_any_name_of_one_line(
    board: LoopbackBoard, new_bundle: LocalBundle, tmp_path: Path
) -> None:
    (tmp_path / '[a]\\b* "c;d').mkdir()
    there = Path(shutil.copy(new_bundle.path, tmp_path / '[a]\\b* "c;d' / "bundle.zip"))
    root = board.root.with_name("my; touch 'x' $(boards)")
    root.mkdir()
    (root / "venvs").symlink_to(board.store.venvs)
    odd = replace(board, root=root)
    assert deploy(odd, replace(new_bundle, path=there)).fault is None
    assert odd.serves() == new_bundle.record.identity()[:12]
    for name in ("a\nb", "a\x1b[2J", " "):
        with pytest.raises(UsageError, match="--root must be a path"):
            BoardAddress.of("board", root=name)
    # A shell takes it for a name, once it is quoted, and Python for a home directory.
    for name in ("~", "~root/boards"):
        with pytest.raises(UsageError, match="except for ~/"):
            BoardAddress.of("board", root=name)


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


def test_a_full_disk_is_found_before_sending(small_disk: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    filling = fill(small_disk.root, leave=200_000)
    result = deploy(small_disk, new_bundle)
    assert result.fault is not None
    assert "MB free" in result.fault.message
    assert small_disk.serves() == old
    filling.unlink()
    the_next_try_succeeds(small_disk, new_bundle)


def test_a_disk_that_fills_up_meanwhile_leaves_the_old(
    small_disk: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    put_bundle(small_disk.root, new_bundle)
    unpacked = sum(file.bytes for file in new_bundle.record.files if not file.path.startswith("wheels/"))
    filling = fill(small_disk.root, leave=unpacked // 8192 * 4096)
    answer = run_agent(small_disk.root, "apply", request_for(new_bundle))
    assert "full" in answer["error"]["message"]
    assert small_disk.serves() == old
    filling.unlink()
    the_next_try_succeeds(small_disk, new_bundle)


def test_what_a_power_cut_left_on_a_full_disk_is_removed_before_it_is_judged(
    small_disk: LoopbackBoard, new_bundle: LocalBundle, new: str
) -> None:
    fill(small_disk.root, leave=0).rename(small_disk.store.staging / "filling")
    assert deploy(small_disk, new_bundle).fault is None
    assert small_disk.serves() == new


def test_a_read_only_disk_is_told_and_unchanged(small_disk: LoopbackBoard, new_bundle: LocalBundle, old: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk.root], check=True)
    result = deploy(small_disk, new_bundle)
    assert result.fault is not None
    assert "read-only" in result.fault.message
    assert "remount,rw" in result.fault.hint
    assert "read-only" in run_agent(small_disk.root, "rollback", {"release": None, "wait_s": 1.0})["error"]["message"]
    assert small_disk.serves() == old
    subprocess.run(["mount", "-o", "remount,rw", small_disk.root], check=True)
    the_next_try_succeeds(small_disk, new_bundle)


def test_a_part_of_another_bundle_is_sent_again(board: LoopbackBoard, new_bundle: LocalBundle, new: str) -> None:
    part = board.store.incoming / new_bundle.sha256
    part.write_bytes(b"x" * 1000)
    # A deployment that is gone has left it.
    os.utime(part, (1e9, 1e9))
    assert deploy(board, new_bundle, STUBBORN).attempts == 2
    assert board.serves() == new
