"""Which releases a board keeps."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemnist.board.agent.store import Release, Store, is_release_name
from tests.agent.making import contents_of, record_of
from tests.deploy.loopback import agent_file

IDENTITY = "0123456789ab"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A board with five releases, each with a virtual environment of its own."""
    made = Store(tmp_path)
    made.create()
    for number in range(1, 6):
        (made.venvs / f"venv{number}").mkdir()
        release = made.releases_directory / f"{number}-{IDENTITY}"
        release.mkdir()
        (release / "venv").symlink_to(made.venvs / f"venv{number}")
    return made


def kept(store: Store) -> list[int]:
    return [release.sequence for release in store.releases()]


@pytest.mark.parametrize("current", [1, 3, 5])
@pytest.mark.parametrize("keep", [1, 2, 4, 9])
def test_the_newest_are_kept_and_the_one_that_serves_whatever_its_age(store: Store, current: int, keep: int) -> None:
    store.switch(f"{current}-{IDENTITY}")
    removed = store.prune(keep, store.incoming / "none")
    assert kept(store) == sorted({current, *list(range(1, 6))[-keep:]})
    assert removed == [f"{number}-{IDENTITY}" for number in range(1, 6) if number not in kept(store)]
    assert sorted(venv.name for venv in store.venvs.iterdir()) == [f"venv{number}" for number in kept(store)]
    assert list(store.staging.iterdir()) == []
    serving = store.current()
    assert serving is not None
    assert serving.sequence == current


def test_transfers_are_kept_for_a_day_and_the_deployed_bundle_is_not(store: Store) -> None:
    for name, age_s in (("deployed", 0), ("young", 86_000), ("old", 87_000)):
        (store.incoming / name).write_bytes(b"bundle")
        os.utime(store.incoming / name, (time.time() - age_s,) * 2)
    store.prune(5, store.incoming / "deployed")
    assert [path.name for path in store.incoming.iterdir()] == ["young"]


def test_boards_in_the_field_find_everything_by_its_name(tmp_path: Path) -> None:
    """An update must find what the version before it has left."""
    store = Store(tmp_path / "not" / "there")
    assert (store.releases(), store.current(), store.next_name("f" * 64)) == ([], None, f"1-{'f' * 12}")
    store.create()
    (store.venvs / "kept").touch()
    store.create()
    assert {path.name for path in store.root.iterdir()} == {"releases", "venvs", "staging", "incoming"}
    assert (store.venvs / "kept").exists()
    assert (store.link, store.lock) == (store.root / "current", store.root / "lock")
    assert (store.allowed_signers, store.settings) == (store.root / "allowed_signers", store.root / "board.toml")


def test_a_new_release_is_newer_than_all_others_whatever_their_names_sort_like(store: Store) -> None:
    for number in (9, 10):
        (store.releases_directory / f"{number}-{IDENTITY}").mkdir()
    (store.releases_directory / "99-no-release").mkdir()
    assert kept(store) == [1, 2, 3, 4, 5, 9, 10]
    assert store.next_name("f" * 64) == f"11-{'f' * 12}"
    (store.staging / "made").mkdir()
    adopted = store.adopt(store.staging / "made", f"11-{'f' * 12}")
    assert (adopted.path, adopted.sequence) == (store.releases_directory / f"11-{'f' * 12}", 11)
    assert kept(store)[-1] == 11


def test_a_release_is_whole_only_with_every_file_as_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    contents = contents_of("a")
    record = record_of(contents)
    release = Release(store.releases_directory / store.next_name(record.identity()), 1)
    for path, data in contents.items():
        # Of the wheels a board keeps none.
        if path.startswith("exports/"):
            (release.path / path).parent.mkdir(parents=True, exist_ok=True)
            (release.path / path).write_bytes(data)
    (release.path / "bundle.json").write_bytes(record.encode())
    venv = store.venvs / "venv"
    venv.mkdir()
    (release.path / "venv").symlink_to(venv)
    assert release.problems() == ["its virtual environment is missing"]
    for complete in (b"", b"1", b"[" * 100_000, b"\xff"):
        (venv / ".complete").write_bytes(complete)
        assert release.problems() == []
    # One that is missing does not end the search.
    (release.path / "exports" / "a.tflite").unlink()
    (release.path / "exports" / "golden.npz").write_bytes(contents["exports/golden.npz"].swapcase())
    damaged = ["exports/a.tflite: No such file or directory", "exports/golden.npz is damaged"]
    assert release.problems() == damaged
    (release.path / "bundle.json").write_bytes(record_of(contents, artifacts=["b"]).encode())
    assert release.problems() == ["bundle.json belongs to another release", *damaged]
    (release.path / "bundle.json").write_bytes(b"{")
    assert release.problems() == ["bundle.json is missing or damaged"]


def test_a_second_sender_takes_over_what_a_silent_one_left_and_leaves_a_busy_one_alone(store: Store) -> None:
    sha256 = "a" * 64
    assert store.part(sha256) == store.incoming / sha256
    # One of them is renamed between the listing and the look: the name is there, and nothing behind it.
    (store.incoming / f"{sha256}.gone").symlink_to("nowhere")
    for token, age in (("busy", 50), ("silent", 70), ("silent-too", 70)):
        path = store.incoming / f"{sha256}.{token}"
        path.write_text(token)
        os.utime(path, (time.time() - age,) * 2)
    own = store.part(sha256, "mine")
    assert (own, own.read_text()) == (store.incoming / f"{sha256}.mine", "silent")
    # What is here already is gone on with.
    assert store.part(sha256, "mine").read_text() == "silent"
    assert store.part("b" * 64, "mine") == store.incoming / f"{'b' * 64}.mine"
    left = {path.name.rpartition(".")[2] for path in store.incoming.iterdir()}
    assert left == {"busy", "gone", "mine", "silent-too"}


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '{"from": "1-a", "to": 5}', '["a", 1]', "[" * 100_000, "null"])
def test_a_damaged_pending_switch_is_none(text: str, store: Store) -> None:
    (store.root / "pending.json").write_text(text)
    assert store.pending() is None


def test_a_pending_switch_is_read_as_it_was_begun(store: Store) -> None:
    assert store.pending() is None
    for old in (None, "1-0123456789ab"):
        store.begin_switch(old, "2-0123456789ab")
        assert store.pending() == {"from": old, "to": "2-0123456789ab"}
        assert json.loads((store.root / "pending.json").read_bytes()) == store.pending()
    for _ in range(2):
        store.end_switch()
        assert not (store.root / "pending.json").exists()


def test_a_sweep_removes_what_is_unfinished_and_nothing_else(store: Store) -> None:
    (store.venvs / "venv1" / ".complete").touch()
    (store.venvs / "file").touch()
    (store.staging / "half").mkdir()
    (store.staging / "link").symlink_to(store.venvs / "venv1")
    store.sweep()
    assert [path.name for path in store.venvs.iterdir()] == ["venv1"]
    assert (store.venvs / "venv1" / ".complete").is_file()
    assert list(store.staging.iterdir()) == []
    assert kept(store) == [1, 2, 3, 4, 5]


def test_signatures_are_asked_for_wherever_the_list_of_signers_was_meant_to_be(store: Store) -> None:
    assert not store.signed_only
    store.allowed_signers.symlink_to("nowhere")
    assert store.signed_only


def test_the_names_of_releases_are_a_number_and_twelve_digits() -> None:
    assert is_release_name(f"10-{IDENTITY}")
    for name in (
        "",
        IDENTITY,
        f"-{IDENTITY}",
        f"1-{IDENTITY}0",
        f"1-{IDENTITY[1:]}",
        f"x-{IDENTITY}",
        f"1-{IDENTITY}/",
    ):
        assert not is_release_name(name)


def test_current_and_shadow_are_the_releases_that_two_links_name(store: Store) -> None:
    assert (store.current(), store.shadow()) == (None, None)
    store.switch(f"3-{IDENTITY}")
    store.set_shadow(f"1-{IDENTITY}")
    assert (store.root / "current").readlink() == Path(f"releases/3-{IDENTITY}")
    assert (store.root / "shadow").readlink() == Path(f"releases/1-{IDENTITY}")
    assert store.current() == Release(store.releases_directory / f"3-{IDENTITY}", 3)
    assert store.shadow() == Release(store.releases_directory / f"1-{IDENTITY}", 1)
    # Neither is pruned, whatever its age.
    assert store.prune(1, store.incoming / "none") == [f"2-{IDENTITY}", f"4-{IDENTITY}"]
    store.set_shadow(None)
    store.switch(f"9-{IDENTITY}")
    assert (store.current(), store.shadow()) == (None, None)
    for _ in range(2):
        store.switch(None)
        assert not os.path.lexists(store.link)


def test_nobody_else_may_write_what_a_board_runs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    request = {"identity": "", "sha256": "0" * 64, "bytes": 1}
    subprocess.run(
        [sys.executable, "-I", agent_file(tmp_path), "prepare", root],
        input=json.dumps(request), check=True, capture_output=True, text=True, umask=0,
    )  # fmt: skip
    found = [root, *root.rglob("*")]
    assert len(found) > 4
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o022] == []
