"""Files are replaced as a whole or not at all, whatever happens to the command that writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.errors import ArtifactError, StorageError
from edgemnist.exports.manifest import GoldenRecord, Manifest, ModelRecord, read_manifest, read_recorded, sha256
from edgemnist.storage import ABANDONED_AFTER_S, JOURNAL_FILE, TEMPORARY_PREFIX, commit_files, recover, write_file

COMMITTED = ("model.keras", "golden.npz", "manifest.json")


def generation(word: str) -> dict[str, bytes]:
    """Two files and a manifest that agrees with them, different for each word."""
    model, golden = f"the {word} model".encode() * 50, f"the {word} golden pack".encode() * 80
    manifest = Manifest(
        labels=["0", "1"],
        model=ModelRecord(file="model.keras", bytes=len(model), sha256=sha256(model), parameters=1),
        golden=GoldenRecord(
            file="golden.npz", bytes=len(golden), sha256=sha256(golden), images=1, model_sha256=sha256(model)
        ),
    )
    return {"model.keras": model, "golden.npz": golden, "manifest.json": manifest.encode()}


def recorded_word(directory: Path) -> str:
    """Read everything that the manifest records, hashes checked, and return the word that it was made from."""
    manifest = read_manifest(directory)
    assert manifest.model is not None
    assert manifest.golden is not None
    words = [read_recorded(directory, record).split()[1].decode() for record in (manifest.model, manifest.golden)]
    assert words[0] == words[1]
    return words[0]


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name not in COMMITTED]


KILLED_AT_EVERY_STEP = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[2])
from edgemnist.storage import JOURNAL_FILE, commit_files
from tests.test_storage import generation, recorded_word

root, when = pathlib.Path(sys.argv[1]), sys.argv[3]

def patch(step):
    passed = 0
    def deadly(function):
        def call(*arguments, **options):
            nonlocal passed
            passed += 1
            mine = passed
            if mine == step and when == "before":
                os._exit(9)
            try:
                return function(*arguments, **options)
            finally:
                if mine == step:
                    os._exit(9)
        return call
    for name in ("open", "fsync", "replace", "rename", "unlink", "close"):
        setattr(os, name, deadly(getattr(os, name)))
    pathlib.Path.open = deadly(pathlib.Path.open)

for step in range(1, 1000):
    directory = root / str(step)
    commit_files(directory, generation("old"))
    child = os.fork()
    if child == 0:
        patch(step)
        commit_files(directory, generation("new"))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        break
    assert code == 9, code
    print(recorded_word(directory))
    assert not (directory / JOURNAL_FILE).exists()
    # The directory is usable as before.
    commit_files(directory, generation("next"))
    assert recorded_word(directory) == "next"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the processes to kill are forked")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_killed_at_any_step_leaves_the_old_files_or_the_new_ones(tmp_path: Path, when: str) -> None:
    """The n-th call that touches the disk is the last one, for every n; every hash is then checked."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path), str(Path(__file__).parents[1]), when],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.split()
    # The turning point lies within the steps, so that neither half of the promise was left untried.
    assert len(outcomes) >= 20
    assert set(outcomes) == {"old", "new"}
    assert outcomes == sorted(outcomes, reverse=True)


def test_a_first_commit_that_was_cut_short_is_completed_by_the_next_reader(tmp_path: Path) -> None:
    files = generation("new")
    renames = {}
    for name, data in files.items():
        (tmp_path / f"{TEMPORARY_PREFIX}{name}").write_bytes(data)
        renames[f"{TEMPORARY_PREFIX}{name}"] = name
    (tmp_path / JOURNAL_FILE).write_text(json.dumps(renames))
    assert recorded_word(tmp_path) == "new"
    assert leftovers(tmp_path) == []


def test_a_commit_makes_the_directory_and_leaves_nothing_but_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there"
    commit_files(directory, generation("new"))
    assert recorded_word(directory) == "new"
    assert leftovers(directory) == []


def test_what_killed_commands_left_is_removed_after_an_hour_and_not_before(tmp_path: Path) -> None:
    abandoned, young = tmp_path / f"{TEMPORARY_PREFIX}a-1-00", tmp_path / f"{TEMPORARY_PREFIX}b-2-00"
    for path in (abandoned, young):
        path.write_bytes(b"half")
    long_ago = time.time() - ABANDONED_AFTER_S - 60
    os.utime(abandoned, (long_ago, long_ago))
    commit_files(tmp_path, generation("new"))
    assert leftovers(tmp_path) == [young.name]


def test_ctrl_c_while_writing_leaves_the_old_files_and_no_temporary_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_files(tmp_path, generation("old"))
    calls = []
    real = os.fsync

    def interrupted(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commit_files(tmp_path, generation("new"))
    assert recorded_word(tmp_path) == "old"
    assert leftovers(tmp_path) == []


def test_ctrl_c_just_after_the_commit_stands_does_not_undo_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_files(tmp_path, generation("old"))
    real = os.replace

    def interrupted(source: str | Path, target: str | Path) -> None:
        real(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            commit_files(tmp_path, generation("new"))
    assert recorded_word(tmp_path) == "new"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "journal",
    [
        {f"{TEMPORARY_PREFIX}x": "../outside"},
        {f"{TEMPORARY_PREFIX}x": "/tmp/outside"},
        {f"{TEMPORARY_PREFIX}x": ".."},
        {f"{TEMPORARY_PREFIX}x": ""},
        {f"{TEMPORARY_PREFIX}/../../inside": "model.keras"},
        {"model.keras": "golden.npz"},
        ["not", "a", "journal"],
    ],
)
def test_a_journal_cannot_reach_beyond_its_directory(tmp_path: Path, journal: object) -> None:
    directory = tmp_path / "exports"
    commit_files(directory, generation("old"))
    (directory / f"{TEMPORARY_PREFIX}x").write_bytes(b"payload")
    (tmp_path / "inside").write_bytes(b"secret")
    (directory / JOURNAL_FILE).write_text(json.dumps(journal))
    for attempt in (recover, read_manifest):
        with pytest.raises(StorageError, match="damaged"):
            attempt(directory)
    with pytest.raises(StorageError, match="damaged"):
        commit_files(directory, generation("new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exports", "inside"]
    (directory / JOURNAL_FILE).unlink()
    assert recorded_word(directory) == "old"


def test_a_journal_of_noise_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(b"\x00\xff{")
    with pytest.raises(StorageError, match="damaged"):
        recover(tmp_path)


@pytest.mark.parametrize("name", ["../model.keras", "a/b", "", ".", "a\\b"])
def test_only_plain_names_are_committed(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        commit_files(tmp_path / "exports", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_the_place_of_a_file_is_found_out_before_the_commit(tmp_path: Path) -> None:
    commit_files(tmp_path, generation("old"))
    (tmp_path / "tflite-int8.tflite").mkdir()
    with pytest.raises(StorageError, match=r"tflite-int8\.tflite is a directory"):
        commit_files(tmp_path, {**generation("new"), "tflite-int8.tflite": b""})
    assert recorded_word(tmp_path) == "old"
    assert leftovers(tmp_path) == ["tflite-int8.tflite"]


def test_a_directory_is_no_place_to_write_a_file_to(tmp_path: Path) -> None:
    for place in (tmp_path, Path(tmp_path.root)):
        with pytest.raises(StorageError) as caught:
            write_file(place, b"")
        assert (caught.value.message, caught.value.hint) == (f"{place} is a directory", "Name a file.")
    assert leftovers(tmp_path) == []


def test_a_missing_or_wrong_directory_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing cannot be written") as caught:
        write_file(tmp_path / "missing" / "file", b"")
    assert "Create the directory" in caught.value.hint
    (tmp_path / "file").write_bytes(b"")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="cannot be written") as caught:
            commit_files(directory, generation("new"))
        assert "--exports" in caught.value.hint


def test_write_file_replaces_a_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"old", b"new"):
        write_file(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def watch_disk(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str, str], None]) -> None:
    """Tell `seen` of each `sync` of a file or directory, `replace` and `unlink`, by path, before it happens."""
    real_sync, real_replace, real_unlink = os.fsync, os.replace, os.unlink

    def sync(descriptor: int) -> None:
        seen("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_sync(descriptor)

    def replace(source: str | Path, target: str | Path) -> None:
        seen("replace", str(target))
        real_replace(source, target)

    def unlink(path: str | Path) -> None:
        seen("unlink", str(path))
        real_unlink(path)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "unlink", unlink)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named in /proc")


@linux_only
def test_nothing_takes_effect_before_what_it_rests_on_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary files, their names, the journal, its name, the renames, their names: each is synced before the next."""
    events: list[str] = []

    def seen(what: str, path: str) -> None:
        place = Path(path).name
        kind = "directory" if path == str(tmp_path) else "temporary" if place.startswith(TEMPORARY_PREFIX) else place
        events.append(f"{what} {kind}")

    watch_disk(monkeypatch, seen)
    commit_files(tmp_path, {"a": b"1", "b": b"2"})
    assert events == [
        *("sync temporary", "sync temporary", "sync directory"),
        *("sync temporary", f"replace {JOURNAL_FILE}", "sync directory"),
        *("replace a", "replace b", "sync directory"),
        f"unlink {JOURNAL_FILE}",
    ]
    events.clear()
    write_file(tmp_path / "c", b"3")
    assert events == ["sync temporary", "replace c", "sync directory"]


@linux_only
def test_a_commit_holds_the_lock_from_its_first_byte_to_its_last_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def is_locked() -> bool:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    locked = []
    watch_disk(monkeypatch, lambda _what, _path: locked.append(is_locked()))
    commit_files(tmp_path, generation("new"))
    assert len(locked) > 5
    assert all(locked)
    assert not is_locked()


@pytest.mark.parametrize("lost", COMMITTED)
@pytest.mark.parametrize("is_first", [False, True])
def test_a_file_that_a_power_cut_took_is_told_and_is_no_finished_rename(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    if not is_first:
        commit_files(tmp_path, generation("old"))
    with monkeypatch.context() as patch:
        patch.setattr("edgemnist.storage._complete", lambda _directory: None)
        commit_files(tmp_path, generation("new"))
    journal: dict[str, str] = json.loads((tmp_path / JOURNAL_FILE).read_text())
    temporary = next(name for name, final in journal.items() if final == lost)
    (tmp_path / temporary).unlink()
    for attempt in (recover, read_manifest):
        with pytest.raises(StorageError, match=f"has lost the new {lost}"):
            attempt(tmp_path)
    # Nothing was moved: what is there is the old generation, whole.
    (tmp_path / JOURNAL_FILE).unlink()
    if is_first:
        assert not (tmp_path / "manifest.json").exists()
    else:
        assert recorded_word(tmp_path) == "old"


def test_a_commit_that_was_cut_short_between_two_renames_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_files(tmp_path, generation("old"))
    with monkeypatch.context() as patch:
        patch.setattr("edgemnist.storage._complete", lambda _directory: None)
        commit_files(tmp_path, generation("new"))
    journal: dict[str, str] = json.loads((tmp_path / JOURNAL_FILE).read_text())
    temporary, name = next(iter(journal.items()))
    (tmp_path / temporary).replace(tmp_path / name)
    assert recorded_word(tmp_path) == "new"
    assert leftovers(tmp_path) == []


def test_commands_that_commit_at_once_take_turns(tmp_path: Path) -> None:
    """Writers and readers in several threads, each with its own lock: no mixture of two generations is ever seen."""
    commit_files(tmp_path, generation("old"))
    failures: list[BaseException] = []

    def write(word: str) -> None:
        try:
            for _ in range(15):
                commit_files(tmp_path, generation(word))
        except BaseException as error:  # noqa: BLE001 - whatever happens in the thread is the test's
            failures.append(error)

    writers = [threading.Thread(target=write, args=(word,)) for word in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        # A reader may meet a manifest and a newer file; the hash tells, and it reads again.
        try:
            assert recorded_word(tmp_path) in {"old", "one", "two", "three"}
        except ArtifactError:
            continue
    assert failures == []
    assert recorded_word(tmp_path) in {"one", "two", "three"}
    assert leftovers(tmp_path) == []


# A full and a read-only file system of the test's own: a mount namespace gives them to whoever runs the tests.
ON_ITS_OWN_FILE_SYSTEM = """
import os, subprocess, sys, pathlib
sys.path.insert(0, sys.argv[2])
from edgemnist.errors import StorageError
from edgemnist.storage import JOURNAL_FILE, TEMPORARY_PREFIX, check_writable, commit_files, write_file
from tests.test_storage import generation, leftovers, recorded_word

directory = pathlib.Path(sys.argv[1])

def mount(*options):
    subprocess.run(["mount", *options, str(directory)], check=True)

def refused(what, *arguments):
    try:
        what(*arguments)
    except StorageError as error:
        return f"{error.message} | {error.hint}"
    raise AssertionError("the write succeeded")

"""


def on_its_own_file_system(directory: Path, scenario: str) -> str:
    """Run a scenario in a mount namespace; it has `directory`, `mount` and `refused`, and prints what it finds."""
    directory.mkdir()
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount"),
            *(sys.executable, "-c", ON_ITS_OWN_FILE_SYSTEM + scenario),
            *(str(directory), str(Path(__file__).parents[1])),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("namespaces")
def test_a_full_disk_leaves_the_old_files(tmp_path: Path) -> None:
    found = on_its_own_file_system(
        tmp_path / "full",
        """
mount("-t", "tmpfs", "-o", "size=128k", "tmpfs")
commit_files(directory, generation("old"))
for size in (40_000, 90_000, 200_000):
    files = {**generation("new"), "tflite-int8.tflite": b"x" * size, "tflite-int4.tflite": b"y" * 90_000}
    print(refused(commit_files, directory, files))
    assert recorded_word(directory) == "old", recorded_word(directory)
    assert leftovers(directory) == [], leftovers(directory)
print(refused(write_file, directory / "model.keras", b"x" * 500_000))
print(refused(check_writable, directory, 500_000))
check_writable(directory, 50_000)
assert leftovers(directory) == []
assert recorded_word(directory) == "old"
commit_files(directory, generation("new"))
assert recorded_word(directory) == "new"
""",
    )
    assert found.count("No space left on device | Free some space there.") == 5


@pytest.mark.needs("namespaces")
def test_a_read_only_directory_can_be_read_and_refuses_commits(tmp_path: Path) -> None:
    found = on_its_own_file_system(
        tmp_path / "read-only",
        """
mount("-t", "tmpfs", "tmpfs")
commit_files(directory, generation("old"))
mount("-o", "remount,ro")
print(refused(commit_files, directory, generation("new")))
assert recorded_word(directory) == "old"
""",
    )
    assert "read-only cannot be written: Read-only file system | Choose another place with --exports DIR." in found


@pytest.mark.needs("namespaces")
def test_an_interrupted_commit_in_a_read_only_directory_is_an_error_until_it_is_completed(tmp_path: Path) -> None:
    found = on_its_own_file_system(
        tmp_path / "read-only",
        """
mount("-t", "tmpfs", "tmpfs")
commit_files(directory, generation("old"))
for name, data in generation("new").items():
    (directory / (TEMPORARY_PREFIX + name)).write_bytes(data)
(directory / JOURNAL_FILE).write_text('{".tmp-model.keras": "model.keras", ".tmp-manifest.json": "manifest.json", '
                                      '".tmp-golden.npz": "golden.npz"}')
os.replace(directory / ".tmp-model.keras", directory / "model.keras")
mount("-o", "remount,ro")
print(refused(recorded_word, directory))
mount("-o", "remount,rw")
assert recorded_word(directory) == "new"
# Killed between the last rename and the end of the journal: all files are in place, and reading needs no writing.
(directory / JOURNAL_FILE).write_text('{".tmp-model.keras": "model.keras"}')
mount("-o", "remount,ro")
assert recorded_word(directory) == "new"
""",
    )
    assert "was interrupted" in found
    assert "Read-only file system" in found
