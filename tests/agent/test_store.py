"""Which releases a board keeps."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from edgemnist.agent.bundle import BundledFile, BundleRecord
from edgemnist.agent.store import Release, Store

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


@pytest.mark.parametrize("current", [1, 2, 3, 5])
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
    store = Store(tmp_path)
    store.create()
    store.create()
    assert {path.name for path in tmp_path.iterdir()} == {"releases", "venvs", "staging", "incoming"}
    assert (store.link, store.lock) == (tmp_path / "current", tmp_path / "lock")
    assert (store.allowed_signers, store.settings) == (tmp_path / "allowed_signers", tmp_path / "board.toml")
    store.begin_switch("1-0123456789ab", "2-0123456789ab")
    assert json.loads((tmp_path / "pending.json").read_bytes()) == {"from": "1-0123456789ab", "to": "2-0123456789ab"}
    assert store.pending() == {"from": "1-0123456789ab", "to": "2-0123456789ab"}
    store.end_switch()
    assert store.pending() is None


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


def test_the_first_release_is_number_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.next_name("f" * 64) == f"1-{'f' * 12}"
    assert store.current() is None


def test_a_release_is_whole_only_with_every_file_as_recorded(tmp_path: Path) -> None:
    data, wheel = b"artifact", BundledFile(path="wheels/a.whl", bytes=1, sha256="0" * 64)
    file = BundledFile(path="exports/a.tflite", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    record = BundleRecord(
        schema_version=1,
        edgemnist="1",
        package="wheels/a.whl",
        extras=[],
        constraints=[],
        machine="any",
        pythons=[],
        artifacts=["a"],
        labels=["0"],
        files=[file, wheel],
    )
    store = Store(tmp_path)
    store.create()
    release = Release(store.releases_directory / store.next_name(record.identity()), 1)
    artifact = release.path / file.path
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(data)
    (release.path / "bundle.json").write_bytes(record.encode())
    (store.venvs / "venv").mkdir()
    (release.path / "venv").symlink_to(store.venvs / "venv")
    assert release.problems() == ["its virtual environment is missing"]
    assert store.find(record.identity(), lambda _: True) is None
    (store.venvs / "venv" / ".complete").touch()
    assert release.problems() == []
    assert store.find(record.identity(), lambda _: True) == release
    assert store.find(record.identity(), lambda _: False) is None
    artifact.write_bytes(b"artifacT")
    assert "exports/a.tflite is damaged" in release.problems()
    artifact.unlink()
    assert "exports/a.tflite: No such file or directory" in release.problems()
    (release.path / "bundle.json").write_bytes(record.encode().replace(b'"a"', b'"b"'))
    assert "bundle.json belongs to another release" in release.problems()
    (release.path / "bundle.json").write_bytes(b"{")
    assert release.problems() == ["bundle.json is missing or damaged"]
