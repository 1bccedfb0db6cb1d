"""On a board, nothing is seen before it is on the disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgemnist.agent.durable import replace_file, replace_link, sync_tree
from edgemnist.agent.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named in /proc")


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each `sync`, `replace`, `rename` and `unlink` below the directory of the test, as it happens."""
    found: list[str] = []

    def told(path: str | Path) -> str:
        return str(Path(path).relative_to(tmp_path))

    real_sync = os.fsync

    def sync(descriptor: int) -> None:
        found.append(f"sync {told(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("replace", "rename", "unlink"):
        real = getattr(os, name)

        def call(path: str | Path, *rest: str | Path, name: str = name, real: object = real) -> None:
            found.append(f"{name} {told(rest[0] if rest else path)}")
            real(path, *rest)  # type: ignore[operator]  # one of the functions above

        monkeypatch.setattr(os, name, call)
    return found


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_another(tmp_path: Path, events: list[str]) -> None:
    replace_file(tmp_path / "file", b"new")
    assert events == ["sync .file.new", "replace file", "sync ."]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_link_is_on_the_disk_once_it_points_elsewhere(tmp_path: Path, events: list[str]) -> None:
    (tmp_path / "link").symlink_to("old")
    replace_link(tmp_path / "link", "new")
    assert [event for event in events if not event.startswith("unlink")] == ["replace link", "sync ."]
    assert (tmp_path / "link").readlink() == Path("new")


def test_every_directory_of_a_tree_is_synced(tmp_path: Path, events: list[str]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    sync_tree(tmp_path)
    assert sorted(events) == ["sync .", "sync a", "sync a/b", "sync c"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create()
    return made


def test_an_adopted_release_is_on_the_disk_in_its_new_place_and_gone_from_the_old_one(
    store: Store, events: list[str]
) -> None:
    (store.staging / "made").mkdir()
    store.adopt(store.staging / "made", "1-0123456789ab")
    assert events[0] == "rename releases/1-0123456789ab"
    assert sorted(events[1:]) == ["sync releases", "sync staging"]


def test_the_beginning_and_the_end_of_a_switch_are_on_the_disk(store: Store, events: list[str]) -> None:
    store.begin_switch(None, "1-0123456789ab")
    assert events[-2:] == ["replace pending.json", "sync ."]
    store.end_switch()
    assert events[-2:] == ["unlink pending.json", "sync ."]
    store.switch("1-0123456789ab")
    store.switch(None)
    assert events[-2:] == ["unlink current", "sync ."]
