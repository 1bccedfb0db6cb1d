"""What has to be on the disk, in which order, and who may change it."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.agent import Responder
from edgemnist.agent.apply import settle
from edgemnist.agent.durable import exclusive, replace_file
from edgemnist.agent.service import BoardService
from edgemnist.agent.store import Store
from edgemnist.errors import DeployError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "root")
    made.create()
    return made


def release(store: Store, number: int) -> str:
    name = f"{number}-{number:012x}"
    (store.releases_directory / name).mkdir()
    return name


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every sync and rename, in their order: what a power cut may leave is decided by nothing else."""
    seen: list[tuple[str, str]] = []
    sync, rename, unlink = os.fsync, os.rename, os.unlink

    def path_of(descriptor: int) -> str:
        return Path(f"/proc/self/fd/{descriptor}").readlink().name

    def recorded(kind: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object, **options: object) -> None:
            first = arguments[0]
            seen.append((kind, path_of(first) if isinstance(first, int) else Path(str(first)).name))
            real(*arguments, **options)

        return call

    monkeypatch.setattr(os, "fsync", recorded("sync", sync))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, recorded("rename", rename))
    monkeypatch.setattr(os, "unlink", recorded("unlink", unlink))
    return seen


def test_a_file_is_on_the_disk_before_its_name_and_the_name_before_all_else(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    replace_file(tmp_path / "pending.json", b"{}")
    assert calls == [("sync", ".pending.json.new"), ("rename", ".pending.json.new"), ("sync", tmp_path.name)]


def test_the_journal_is_on_the_disk_before_the_switch_and_goes_after_it(
    store: Store, calls: list[tuple[str, str]]
) -> None:
    staged = store.staging / "new"
    staged.mkdir()
    adopted = store.adopt(staged, "1-00000000000a")
    store.begin_switch(None, adopted.name)
    store.switch(adopted.name)
    store.end_switch()
    assert calls == [
        ("rename", "new"),
        ("sync", "releases"),
        ("sync", "staging"),
        ("sync", ".pending.json.new"),
        ("rename", ".pending.json.new"),
        ("sync", "root"),
        ("unlink", ".current.new"),
        ("rename", ".current.new"),
        ("sync", "root"),
        ("unlink", "pending.json"),
        ("sync", "root"),
    ]


def test_directories_are_on_the_disk_before_anything_is_in_them(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    store = Store(tmp_path / "a" / "root")
    store.create()
    assert ("sync", "a") in calls
    assert calls.count(("sync", "root")) == 4
    calls.clear()
    store.create()
    assert calls == []


def test_a_switch_to_a_release_that_is_gone_is_not_done(store: Store) -> None:
    old = release(store, 1)
    store.begin_switch(old, "2-000000000002")
    store.switch("2-000000000002")
    assert store.current() is None
    settle(store, BoardService([]), Responder(io.StringIO()))
    current = store.current()
    assert current is not None
    assert current.name == old
    assert store.pending() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"to": 5}', "[" * 100_000, "null"])
def test_a_journal_that_cannot_be_read_is_none(text: str, store: Store) -> None:
    (store.root / "pending.json").write_text(text)
    assert store.pending() is None
    (store.root / "history.json").write_text(text)
    assert store.history() == []


@pytest.mark.parametrize("serving", [1, 2, 5])
def test_the_release_that_serves_is_never_pruned(serving: int, store: Store) -> None:
    names = [release(store, number) for number in range(1, 6)]
    store.switch(names[serving - 1])
    assert store.prune(2, store.incoming / "x") == [name for name in names[:3] if name != names[serving - 1]]
    current = store.current()
    assert current is not None
    assert current.name == names[serving - 1]
    assert current.path.is_dir()


def test_one_process_at_a_time_changes_a_board(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from edgemnist.agent.durable import exclusive\n"
        "with exclusive(Path(sys.argv[1]), wait_s=0, waiting=print):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    held = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    told: list[str] = []
    with pytest.raises(DeployError, match=f"process {held.pid}"), exclusive(lock, wait_s=0.2, waiting=told.append):
        raise AssertionError("two hold the lock")
    assert told == [f"waiting for another deployment (process {held.pid})"]
    threading.Timer(0.3, held.communicate).start()
    with exclusive(lock, wait_s=30, waiting=told.append):
        assert held.poll() is not None or held.wait(10) == 0


def test_nobody_else_may_write_what_a_board_runs(tmp_path: Path) -> None:
    from tests.deploy.loopback import agent_file

    root = tmp_path / "root"
    request = {"identity": "", "sha256": "0" * 64, "bytes": 1}
    subprocess.run(
        [sys.executable, "-I", agent_file(tmp_path), "prepare", root],
        input=json.dumps(request), check=True, capture_output=True, text=True, umask=0,
    )  # fmt: skip
    found = [root, *root.rglob("*")]
    assert len(found) > 4
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o022] == []
