"""Files are replaced as a whole or not at all, whatever happens to the command, the disk and its file system."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import ArtifactError, StorageError
from edgemnist.ground.storage import (
    ABANDONED_AFTER_S,
    JOURNAL_FILE,
    TEMPORARY_PREFIX,
    check_writable,
    commit_files,
    is_stream,
    recover,
    sha256,
    write_file,
)
from edgemnist.model.exports.manifest import GoldenRecord, Manifest, ModelRecord, read_manifest, read_recorded
from tests.killing import in_a_process
from tests.messages import Told
from tests.patience import PATIENCE_S

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


def test_a_commit_makes_the_directory_and_leaves_nothing_but_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there"
    commit_files(directory, generation("new"))
    assert recorded_word(directory) == "new"
    assert leftovers(directory) == []


def test_what_killed_commands_left_is_removed_after_an_hour_and_not_before(tmp_path: Path) -> None:
    abandoned, young = tmp_path / f"{TEMPORARY_PREFIX}a-1-00", tmp_path / f"{TEMPORARY_PREFIX}b-2-00"
    for path in (abandoned, young):
        path.write_bytes(b"half")
    # As a project is made in, for example.
    directory = tmp_path / f"{TEMPORARY_PREFIX}c"
    (directory / "made").mkdir(parents=True)
    (directory / "made" / "main.c").touch()
    long_ago = time.time() - ABANDONED_AFTER_S - 60
    for path in (abandoned, directory):
        os.utime(path, (long_ago, long_ago))
    commit_files(tmp_path, generation("new"))
    assert leftovers(tmp_path) == [young.name]


def commit(asked: dict[str, Any]) -> None:
    commit_files(Path(asked["root"]), generation("new"))


def test_a_commit_killed_at_any_step_leaves_the_old_files_or_the_new_ones(tmp_path: Path) -> None:
    """Every hash is checked, and what the kill left goes at the next commit."""
    outcomes, left = [], []
    for step in itertools.count(1):
        directory = tmp_path / str(step)
        commit_files(directory, generation("old"))
        ended = in_a_process(commit, {"limit": step, "root": str(directory)})
        if ended["code"] != -signal.SIGKILL:
            assert (ended["said"], len(ended["steps"])) == ("", step - 1)
            break
        left.append(len(leftovers(directory)))
        outcomes.append(recorded_word(directory))
        assert not (directory / JOURNAL_FILE).exists()
        commit_files(directory, generation("next"))
        assert (recorded_word(directory), leftovers(directory)) == ("next", [])
    # The turning point lies within the steps, so that neither half of the promise was left untried.
    assert len(outcomes) >= 12
    assert set(outcomes) == {"old", "new"}
    assert outcomes == sorted(outcomes, reverse=True)
    assert max(left) > 1


def test_ctrl_c_just_after_the_commit_stands_undoes_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


NAMES = ("../outside", "/tmp/outside", "", ".", "..", "a/b", "a\\b", "a\0b", "C:")
JOURNALS: list[object] = [
    *({f"{TEMPORARY_PREFIX}x": name} for name in NAMES),
    *({f"{TEMPORARY_PREFIX}{name}/": "model.keras"} for name in (*NAMES, "/../../inside")),
    {"model.keras": "golden.npz"},
    ["not", "a", "journal"],
]


@pytest.mark.parametrize("journal", JOURNALS, ids=str)
def test_a_journal_cannot_reach_beyond_its_directory(tmp_path: Path, journal: object) -> None:
    directory = tmp_path / "exports"
    commit_files(directory, generation("old"))
    (directory / f"{TEMPORARY_PREFIX}x").write_bytes(b"payload")
    (tmp_path / "inside").write_bytes(b"secret")
    (directory / JOURNAL_FILE).write_text(json.dumps(journal))
    for attempt in (recover, read_manifest, lambda place: commit_files(place, generation("new"))):
        with pytest.raises(StorageError, match="damaged"):
            attempt(directory)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exports", "inside"]
    (directory / JOURNAL_FILE).unlink()
    assert recorded_word(directory) == "old"


def test_a_damaged_journal_is_told_with_a_command_that_a_shell_takes(tmp_path: Path, told: Told) -> None:
    directory = tmp_path / "my exports"
    directory.mkdir()
    for noise in (b"{", b"\x00\xff{", b'{"\xff": "a"}'):
        (directory / JOURNAL_FILE).write_bytes(noise)
        with told():
            recover(directory)


@pytest.mark.parametrize("name", ["../model.keras", "a/b", "", ".", "a\\b", "a:b"])
def test_only_plain_names_are_committed(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        commit_files(tmp_path / "exports", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_place_to_write_to_is_told(tmp_path: Path, told: Told) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path, Path(tmp_path.root), tmp_path / "missing" / "file"):
        with told():
            write_file(place, b"")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with told():
            commit_files(directory, generation("new"))
    assert leftovers(tmp_path) == ["file"]


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
def test_nothing_takes_effect_before_what_it_rests_on_is_synced(
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
def test_a_commit_holds_the_lock_from_first_byte_to_last_rename(
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


@pytest.mark.parametrize("is_first", [False, True])
def test_a_file_that_a_power_cut_took_is_told_and_is_no_finished_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    if not is_first:
        commit_files(tmp_path, generation("old"))
    with monkeypatch.context() as patch:
        patch.setattr("edgemnist.ground.storage._complete", lambda _directory: None)
        commit_files(tmp_path, generation("new"))
    journal: dict[str, str] = json.loads((tmp_path / JOURNAL_FILE).read_text())
    (tmp_path / next(name for name, final in journal.items() if final == "golden.npz")).unlink()
    for attempt in (recover, read_manifest):
        with pytest.raises(StorageError, match="has lost the new golden"):
            attempt(tmp_path)
    # Nothing was moved: what is there is the old generation, whole.
    (tmp_path / JOURNAL_FILE).unlink()
    if is_first:
        assert not (tmp_path / "manifest.json").exists()
    else:
        assert recorded_word(tmp_path) == "old"


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


def test_a_failed_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    commit_files(tmp_path, generation("old"))

    def refuse(number: int) -> Callable[..., None]:
        def refused(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return refused

    writes: list[Callable[[], None]] = [
        lambda: commit_files(tmp_path, generation("new")),
        lambda: check_writable(tmp_path, 100),
        lambda: write_file(tmp_path / "model.keras", b"new"),
    ]
    for name, number in (("fsync", errno.ENOSPC), ("replace", errno.EACCES)):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refuse(number))
            for write in writes if name == "fsync" else writes[2:]:
                with told():
                    write()
    assert recorded_word(tmp_path) == "old"
    assert leftovers(tmp_path) == []


def test_a_directory_in_the_place_of_a_file_is_told_by_name(tmp_path: Path, told: Told) -> None:
    commit_files(tmp_path, generation("old"))
    (tmp_path / "taken").mkdir()
    with told():
        commit_files(tmp_path, {**generation("new"), "taken": b""})
    assert recorded_word(tmp_path) == "old"
    assert leftovers(tmp_path) == ["taken"]


def test_the_room_for_the_work_is_tried_out_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: written.append(os.fstat(descriptor).st_size))
    directory = tmp_path / "not" / "there"
    for _ in range(2):
        check_writable(directory, 12_345)
        assert list(directory.iterdir()) == []
    assert written == [12_345, 12_345]


@pytest.mark.parametrize("interrupted", [1, 2, 3, 4])
def test_a_failed_first_commit_leaves_no_file(
    interrupted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth is the journal; what an interrupted write itself leaves is removed, too."""
    calls: list[Path] = []

    def write_synced(path: Path, data: bytes) -> None:
        calls.append(path)
        path.write_bytes(data)
        if len(calls) == interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr("edgemnist.board.agent.durable.write_synced", write_synced)
    with pytest.raises(KeyboardInterrupt):
        commit_files(tmp_path, generation("new"))
    assert list(tmp_path.iterdir()) == []


def test_a_lost_file_is_told_with_what_to_do(tmp_path: Path, told: Told) -> None:
    # A journal of an older version, without hashes, and one of this.
    for temporary in (f"{TEMPORARY_PREFIX}a", f"{TEMPORARY_PREFIX}a-1-{'0' * 64}"):
        (tmp_path / JOURNAL_FILE).write_text(json.dumps({temporary: "model.keras"}))
        with told():
            recover(tmp_path)
        # The old model has its name, but not the hash of the new one.
        (tmp_path / "model.keras").write_bytes(b"old")


def test_a_journal_whose_renames_are_all_made_is_removed(tmp_path: Path) -> None:
    data = b"new"
    (tmp_path / "model.keras").write_bytes(data)
    for temporary in (f"{TEMPORARY_PREFIX}a", f"{TEMPORARY_PREFIX}a-1-{sha256(data)}"):
        (tmp_path / JOURNAL_FILE).write_text(json.dumps({temporary: "model.keras"}))
        recover(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_who_can_complete_a_commit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    (tmp_path / f"{TEMPORARY_PREFIX}a").write_bytes(b"new")
    (tmp_path / JOURNAL_FILE).write_text(json.dumps({f"{TEMPORARY_PREFIX}a": "a"}))

    def refused(_source: str, _target: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refused)
    with told():
        recover(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_device_that_takes_nothing_is_named_itself() -> None:
    with pytest.raises(StorageError, match=r"^/dev/full cannot be written: No space left on device$"):
        write_file(Path("/dev/full"), b"1\n")


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_file(tmp_path / "pipe", b"data\n")
    reader.join(PATIENCE_S)
    assert read == [b"data\n"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_a_device_or_the_name_of_a_stream_is_one_and_a_file_or_a_directory_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert is_stream(tmp_path / "pipe")
    assert is_stream(Path("/dev/null"))
    for name in ("file", "missing", "."):
        assert not is_stream(tmp_path / name)
    # Wherever it leads.
    monkeypatch.setattr(Path, "exists", lambda _: False)
    for name in ("/dev/stdout", "/dev/stderr", "/dev/fd/7", "/proc/self/fd/7"):
        assert is_stream(Path(name))


# A full and a read-only file system of the test's own: a mount namespace gives them to whoever runs the tests.
ON_ITS_OWN_FILE_SYSTEM = """
import subprocess, sys, pathlib
sys.path.insert(0, sys.argv[2])
from edgemnist.errors import StorageError
from edgemnist.ground.storage import check_writable, commit_files, write_file
from tests.test_storage import generation, leftovers, recorded_word

directory = pathlib.Path(sys.argv[1])

def mount(*options):
    subprocess.run(["mount", *options, str(directory)], check=True)

def refused(what, *arguments):
    try:
        what(*arguments)
    except StorageError as error:
        print(f"{error.message} | {error.hint}")
    else:
        raise AssertionError("the write succeeded")
    assert recorded_word(directory) == "old", recorded_word(directory)
    assert leftovers(directory) == [], leftovers(directory)

"""
FULL = """
mount("-t", "tmpfs", "-o", "size=128k", "tmpfs")
commit_files(directory, generation("old"))
for size in (40_000, 90_000, 200_000):
    files = {**generation("new"), "tflite-int8.tflite": b"x" * size, "tflite-dynamic.tflite": b"y" * 90_000}
    refused(commit_files, directory, files)
refused(write_file, directory / "model.keras", b"x" * 500_000)
refused(check_writable, directory, 500_000)
check_writable(directory, 50_000)
commit_files(directory, generation("new"))
assert recorded_word(directory) == "new"
"""
READ_ONLY = """
mount("-t", "tmpfs", "tmpfs")
commit_files(directory, generation("old"))
mount("-o", "remount,ro")
refused(commit_files, directory, generation("new"))
"""


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize(
    ("scenario", "said", "times"),
    [
        (FULL, "No space left on device | Free some space there.", 5),
        (READ_ONLY, "cannot be written: Read-only file system | Choose another place with --exports DIR.", 1),
    ],
    ids=["full", "read-only"],
)
def test_a_file_system_that_refuses_keeps_the_old_files(scenario: str, said: str, times: int, tmp_path: Path) -> None:
    here = (sys.executable, "-c", ON_ITS_OWN_FILE_SYSTEM + scenario, str(tmp_path), str(Path(__file__).parents[1]))
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", *here], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(said) == times
