"""On a board, nothing is seen before it is on the disk."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from edgemnist.agent.durable import (
    TREE_FILE,
    discard,
    discard_bytecode,
    exclusive,
    find_change,
    hash_file,
    holder,
    record_bytecode,
    record_tree,
    replace_file,
    replace_link,
    sync_tree,
)
from edgemnist.agent.store import Store
from edgemnist.errors import DeployError

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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory that has been recorded: two files, one of them below, and what is none of the record's business."""
    made = tmp_path / "venv"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "tool").write_bytes(b"tool")
    (made / "settings").write_bytes(b"settings")
    (made / "python").symlink_to("/usr/bin/nowhere")
    record_tree(made)
    # Both come later, in every installation.
    (made / ".complete").touch()
    (made / "bin" / "__pycache__").mkdir()
    (made / "bin" / "__pycache__" / "tool.pyc").write_bytes(b"compiled")
    return made


def test_a_tree_that_nobody_touched_has_no_change_and_its_files_are_recorded_by_hash(tree: Path) -> None:
    recorded = json.loads((tree / TREE_FILE).read_bytes())
    assert {name: entry[-1] for name, entry in recorded["files"].items()} == {
        "bin/tool": hashlib.sha256(b"tool").hexdigest(),
        "settings": hashlib.sha256(b"settings").hexdigest(),
    }
    assert list(recorded["files"]) == ["settings", "bin/tool"]
    assert recorded["links"] == {"python": "/usr/bin/nowhere"}
    assert find_change(tree) == ""


def test_a_changed_a_missing_and_an_added_file_are_named(tree: Path) -> None:
    (tree / "bin" / "b").touch()
    (tree / "bin" / "a").touch()
    assert find_change(tree) == "bin/a was added"
    (tree / "settings").write_bytes(b"Settings")
    assert find_change(tree) == "settings was changed"
    (tree / "settings").unlink()
    assert find_change(tree) == "settings is missing"


def test_a_changed_a_missing_and_an_added_link_are_named(tree: Path) -> None:
    (tree / "b").symlink_to(tree / "bin")
    (tree / "bin" / "a").symlink_to("tool")
    assert find_change(tree) == "b was added"
    (tree / "b").unlink()
    assert find_change(tree) == "bin/a was added"
    replace_link(tree / "python", "/usr/bin/elsewhere")
    assert find_change(tree) == "python was changed"
    (tree / "python").unlink()
    assert find_change(tree) == "python is missing"
    (tree / "python").write_bytes(b"no link")
    assert find_change(tree) == "python is missing"


def test_a_record_of_files_only_says_nothing_about_links(tree: Path) -> None:
    recorded = json.loads((tree / TREE_FILE).read_bytes())
    (tree / TREE_FILE).write_text(json.dumps(recorded["files"]))
    assert find_change(tree) == ""
    (tree / "bin" / "a").touch()
    assert find_change(tree) == "bin/a was added"


def test_bytecode_is_discarded_wherever_it_lies(tree: Path) -> None:
    away = tree.parent / "away"
    away.mkdir()
    (away / "kept").touch()
    (tree / "__pycache__").symlink_to(away)
    discard_bytecode(tree)
    assert list((tree / "bin" / "__pycache__").iterdir()) == []
    assert not (tree / "__pycache__").is_symlink()
    assert (away / "kept").exists()
    assert find_change(tree) == ""


def test_bytecode_that_was_seen_to_work_is_kept_and_no_other(tree: Path) -> None:
    compiled = tree / "bin" / "__pycache__"
    for name in ("same", "copied", "changed", "exchanged"):
        (compiled / name).write_bytes(b"bytecode")
    record_bytecode(tree)
    replace_file(compiled / "copied", b"bytecode")
    (compiled / "changed").write_bytes(b"bytec0de")
    (compiled / "exchanged").unlink()
    (compiled / "exchanged").symlink_to("same")
    (compiled / "added").write_bytes(b"bytecode")
    (tree / "__pycache__" / "same").write_bytes(b"bytecode")
    discard_bytecode(tree)
    assert {path.name for path in compiled.iterdir()} == {"same", "copied", "tool.pyc"}
    assert [path.name for path in (tree / "__pycache__").iterdir()] == ["compiled.json"]
    assert find_change(tree) == ""


def test_what_a_running_service_compiles_meanwhile_is_no_reason_to_stop(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = tree / "__pycache__"
    compiled.mkdir(exist_ok=True)
    lstat = os.lstat

    def after_it_was_renamed(path: str) -> os.stat_result:
        if path.endswith(".tmp"):
            Path(path).replace(path.removesuffix(".tmp"))
        return lstat(path)

    monkeypatch.setattr("os.lstat", after_it_was_renamed)
    for work in (record_bytecode, discard_bytecode):
        (compiled / "a.pyc.tmp").write_bytes(b"bytecode")
        work(tree)


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"bin/__pycache__/x": [1, 2]}', b"\xff", None])
def test_without_a_sound_record_no_bytecode_is_trusted(tree: Path, damage: bytes | None) -> None:
    compiled = tree / "bin" / "__pycache__" / "x"
    compiled.write_bytes(b"bytecode")
    record_bytecode(tree)
    record = tree / "__pycache__" / "compiled.json"
    record.unlink() if damage is None else record.write_bytes(damage)
    discard_bytecode(tree)
    assert not compiled.exists()


def test_a_file_that_was_replaced_by_its_equal_is_no_change(tree: Path) -> None:
    """A copy has another inode and another ctime; what counts then are its contents."""
    replace_file(tree / "settings", b"settings")
    assert find_change(tree) == ""


def test_a_file_whose_stamp_is_the_recorded_one_is_not_read_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr("edgemnist.agent.durable.hash_file", read)
    assert find_change(tree) == ""


def test_a_tree_without_a_record_is_trusted_and_one_with_a_damaged_record_is_not(tree: Path) -> None:
    (tree / TREE_FILE).write_bytes(b'{"settings": 1}')
    assert find_change(tree).startswith(f"{TREE_FILE} is damaged (")
    (tree / TREE_FILE).unlink()
    assert find_change(tree) == ""
    (tree / TREE_FILE).mkdir()
    assert find_change(tree) == f"{TREE_FILE} cannot be read (Is a directory)"


def test_a_file_larger_than_one_read_has_the_hash_of_all_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5_000
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_link_replaces_what_an_interrupted_attempt_left(tmp_path: Path) -> None:
    for target in ("one", "two"):
        (tmp_path / ".link.new").symlink_to("left")
        replace_link(tmp_path / "link", target)
        assert (tmp_path / "link").readlink() == Path(target)
        assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_what_is_discarded_is_gone_whatever_lies_in_the_bin_already(tmp_path: Path) -> None:
    bin_ = tmp_path / "not" / "there"
    (tmp_path / "first").mkdir()
    discard(tmp_path / "first", bin_)
    # A grave that cannot be emptied, as of an earlier removal, and a link that leads nowhere.
    (bin_ / "removed-0").mkdir()
    (bin_ / "removed-1").symlink_to("nowhere")
    (tmp_path / "second" / "below").mkdir(parents=True)
    discard(tmp_path / "second", bin_)
    assert sorted(path.name for path in bin_.iterdir()) == ["removed-0", "removed-1"]
    assert [path.name for path in tmp_path.iterdir()] == ["not"]


def test_a_discarded_directory_leaves_its_place_even_if_not_all_of_it_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graves: list[Path] = []
    monkeypatch.setattr("shutil.rmtree", lambda path, *, ignore_errors: graves.append(path) if ignore_errors else 1 / 0)
    (tmp_path / "old").mkdir()
    discard(tmp_path / "old", tmp_path / "bin")
    assert graves == [tmp_path / "bin" / "removed-0"]
    assert not (tmp_path / "old").exists()


def test_the_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", list[str]()
    assert holder(lock) is None
    with exclusive(lock, wait_s=0, waiting=told.append):
        assert holder(lock) == str(os.getpid())
        with (
            pytest.raises(DeployError) as caught,
            exclusive(lock, wait_s=0.25, waiting=told.append),
        ):
            pass
    assert caught.value.message == f"Another deployment is running on this board (process {os.getpid()})"
    assert caught.value.hint == "Try again when it is done, or wait longer with --wait."
    assert told == [f"waiting for another deployment (process {os.getpid()})"]
    assert holder(lock) is None
    # A shorter process number takes the place of a longer one as a whole.
    lock.write_text("123456789012")
    with exclusive(lock, wait_s=0, waiting=told.append):
        assert lock.read_text() == str(os.getpid())
    assert len(told) == 1


def test_a_lock_whose_holder_could_not_write_its_name_is_held_by_somebody_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with exclusive(tmp_path / "lock", wait_s=0, waiting=print):
        assert holder(tmp_path / "lock") == "unknown"
