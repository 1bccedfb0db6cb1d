"""Which releases a board keeps."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from edgemnist.agent.bundle import BundledFile, BundleRecord
from edgemnist.agent.durable import record_tree
from edgemnist.agent.store import Release, Store, is_release_name

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
    for damaged in (b"1", b"[" * 100_000, b"\xff"):
        (store.venvs / "venv" / ".complete").write_bytes(damaged)
        assert release.problems() == []
    (store.venvs / "venv").rename(tmp_path / "elsewhere")
    (release.path / "venv").unlink()
    (release.path / "venv").symlink_to(tmp_path / "elsewhere")
    assert release.problems() == ["its virtual environment is not one of the board's"]
    artifact.write_bytes(b"artifacT")
    assert "exports/a.tflite is damaged" in release.problems()
    artifact.unlink()
    assert "exports/a.tflite: No such file or directory" in release.problems()
    (release.path / "bundle.json").write_bytes(record.encode().replace(b'"a"', b'"b"'))
    assert "bundle.json belongs to another release" in release.problems()
    (release.path / "bundle.json").write_bytes(b"{")
    assert release.problems() == ["bundle.json is missing or damaged"]


def test_a_venv_that_was_changed_is_told_with_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    record = BundleRecord(
        schema_version=1, edgemnist="1", package="wheels/a.whl", extras=[], constraints=[], machine="any", pythons=[],
        artifacts=["a"], labels=["0"], files=[],
    )  # fmt: skip
    release = Release(store.releases_directory / store.next_name(record.identity()), 1)
    venv = release.path / "venv"
    venv.mkdir(parents=True)
    (release.path / "bundle.json").write_bytes(record.encode())
    record_tree(venv)
    (venv / ".complete").touch()
    assert release.problems() == []
    (venv / "added").touch()
    assert release.problems() == ["its virtual environment was changed after it was installed: added was added"]
    # Versions that wrote down no wheels wrote down no files either.
    (venv / ".files.json").unlink()
    assert release.problems() == []
    (venv / ".complete").write_text('{"wheels": []}')
    assert release.problems() == ["its virtual environment was changed after it was installed: .files.json is missing"]


def test_every_damaged_file_of_a_release_is_told(tmp_path: Path) -> None:
    """One that is missing does not end the search, and neither do the wheels, which a board does not keep."""
    names = ("exports/a", "wheels/b.whl", "exports/c", "exports/d")
    files = [BundledFile(path=name, bytes=1, sha256="0" * 64) for name in names]
    record = BundleRecord(
        schema_version=1, edgemnist="1", package="wheels/b.whl", extras=[], constraints=[], machine="any", pythons=[],
        artifacts=["a"], labels=["0"], files=files,
    )  # fmt: skip
    release = Release(tmp_path / f"1-{record.identity()[:12]}", 1)
    (release.path / "exports").mkdir(parents=True)
    (release.path / "exports" / "d").write_bytes(b"d")
    (release.path / "bundle.json").write_bytes(record.encode())
    assert release.problems() == [
        "exports/a: No such file or directory",
        "exports/c: No such file or directory",
        "exports/d is damaged",
        "its virtual environment is missing",
    ]


def test_the_release_to_take_again_is_the_newest_that_is_whole_and_wanted(store: Store) -> None:
    asked: list[Release] = []

    def wanted(release: Release) -> bool:
        asked.append(release)
        return release.sequence == 3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Release, "problems", lambda release: ["damaged"] if release.sequence == 4 else [])
        found = store.find(IDENTITY + "f" * 52, wanted)
        assert store.find("f" * 64, wanted) is None
    assert [release.sequence for release in asked] == [5, 3]
    assert found == asked[-1]


def test_what_is_no_record_of_a_release_is_none(tmp_path: Path) -> None:
    release = Release(tmp_path / f"1-{IDENTITY}", 1)
    assert (release.record(), release.signature(), release.deployed()) == (None, None, {})
    release.path.mkdir()
    (release.path / "bundle.json.sig").write_bytes(b"signature")
    assert release.signature() == b"signature"
    for text, document in (('{"at": 1}', {"at": 1}), ("[1]", {}), ("{", {}), ("[" * 100_000, {})):
        (release.path / "deployed.json").write_text(text)
        assert release.deployed() == document


def test_a_second_sender_takes_over_what_a_silent_one_left_and_leaves_a_busy_one_alone(store: Store) -> None:
    sha256 = "a" * 64
    assert store.part(sha256) == store.incoming / sha256
    busy, silent = store.incoming / f"{sha256}.busy", store.incoming / f"{sha256}.silent"
    busy.write_bytes(b"busy")
    silent.write_bytes(b"silent")
    for path, age in ((busy, 50), (silent, 70)):
        os.utime(path, (time.time() - age,) * 2)
    own = store.part(sha256, "mine")
    assert own == store.incoming / f"{sha256}.mine"
    assert own.read_bytes() == b"silent"
    os.utime(busy, (0, 0))
    # What is here already is gone on with.
    assert store.part(sha256, "mine").read_bytes() == b"silent"
    assert busy.exists()
    assert store.part("b" * 64, "mine") == store.incoming / f"{'b' * 64}.mine"
    assert busy.exists()


def test_of_two_silent_senders_the_first_is_taken_over_and_the_other_left(store: Store) -> None:
    for token in ("one", "two"):
        path = store.incoming / f"hash.{token}"
        path.write_text(token)
        os.utime(path, (0, 0))
    assert store.part("hash", "mine").read_text() == "one"
    assert sorted(path.name for path in store.incoming.iterdir()) == ["hash.mine", "hash.two"]


def test_what_a_sender_ends_meanwhile_is_not_taken_over(store: Store) -> None:
    # As what is renamed between the listing and the look: the name is there, and nothing behind it.
    (store.incoming / "hash.gone").symlink_to("nowhere")
    assert store.part("hash", "mine") == store.incoming / "hash.mine"


def test_what_was_deployed_under_a_signature_is_remembered_in_order_and_once_in_a_row(store: Store) -> None:
    assert store.history() == []
    first, second = "1" * 64, "2" * 64
    for identity in (first, first, second, second, first):
        store.remember(identity)
    assert store.history() == ["1" * 12, "2" * 12, "1" * 12]


def test_a_thousand_deployments_are_remembered(store: Store) -> None:
    (store.root / "history.json").write_text(json.dumps([f"{number:012}" for number in range(1_000)]))
    store.remember("f" * 64)
    assert store.history() == [*(f"{number:012}" for number in range(1, 1_000)), "f" * 12]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '["a", 1]', "[" * 100_000])
def test_a_damaged_history_or_pending_switch_is_none(text: str, store: Store) -> None:
    (store.root / "history.json").write_text(text)
    (store.root / "pending.json").write_text(text)
    assert store.history() == []
    assert store.pending() is None


def test_a_pending_switch_is_read_as_it_was_begun(store: Store) -> None:
    assert store.pending() is None
    for old in (None, "1-0123456789ab"):
        store.begin_switch(old, "2-0123456789ab")
        assert store.pending() == {"from": old, "to": "2-0123456789ab"}
    (store.root / "pending.json").write_text('{"from": "1-0123456789ab", "to": 2}')
    assert store.pending() is None
    store.end_switch()
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


def test_the_current_release_is_the_one_that_the_link_names(store: Store) -> None:
    assert store.current() is None
    store.switch(f"3-{IDENTITY}")
    current = store.current()
    assert current == Release(store.releases_directory / f"3-{IDENTITY}", 3)
    store.switch(f"9-{IDENTITY}")
    assert store.current() is None
    store.switch(None)
    store.switch(None)
    assert not os.path.lexists(store.link)


def test_a_board_is_made_with_what_is_above_it_and_stays_as_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path / "not" / "there")
    assert store.releases() == []
    store.create()
    (store.venvs / "kept").touch()
    store.create()
    assert sorted(path.name for path in store.root.iterdir()) == ["incoming", "releases", "staging", "venvs"]
    assert (store.venvs / "kept").exists()


def test_a_release_that_answers_beside_the_one_that_serves_is_another_link(store: Store) -> None:
    assert store.shadow() is None
    store.switch(f"3-{IDENTITY}")
    store.set_shadow(f"1-{IDENTITY}")
    assert (store.root / "shadow").readlink() == Path(f"releases/1-{IDENTITY}")
    assert store.shadow() == Release(store.releases_directory / f"1-{IDENTITY}", 1)
    assert store.current() == Release(store.releases_directory / f"3-{IDENTITY}", 3)
    # Neither is pruned, whatever its age.
    assert store.prune(1, store.incoming / "none") == [f"2-{IDENTITY}", f"4-{IDENTITY}"]
    store.set_shadow(None)
    assert store.shadow() is None
    assert store.current() is not None
