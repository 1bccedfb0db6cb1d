"""Files are replaced as a whole or not at all, whatever happens to the command that writes them."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.errors import ArtifactError, StorageError
from edgemnist.exports.manifest import GoldenRecord, Manifest, ModelRecord, read_manifest, read_recorded
from edgemnist.storage import (
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
    # As a project is made in, for example.
    directory = tmp_path / f"{TEMPORARY_PREFIX}c"
    (directory / "made").mkdir(parents=True)
    (directory / "made" / "main.c").touch()
    long_ago = time.time() - ABANDONED_AFTER_S - 60
    for path in (abandoned, directory):
        os.utime(path, (long_ago, long_ago))
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


@pytest.mark.parametrize("noise", [b"\x00\xff{", b'{"\xff": "a"}'])
def test_a_journal_of_noise_is_a_clear_error(noise: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(noise)
    with pytest.raises(StorageError, match="damaged"):
        recover(tmp_path)


def test_a_damaged_journal_is_told_with_a_command_that_a_shell_takes(tmp_path: Path) -> None:
    directory = tmp_path / "my exports"
    directory.mkdir()
    (directory / JOURNAL_FILE).write_bytes(b"{")
    with pytest.raises(StorageError) as caught:
        recover(directory)
    assert caught.value.hint.endswith(f"edgemnist export --exports '{directory}'")


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


def test_a_write_that_fails_leaves_the_old_file_and_says_where_else_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "file", b"old")

    def refused(_source: str, _target: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(StorageError) as caught:
        write_file(tmp_path / "file", b"new")
    assert caught.value.message == f"{tmp_path} cannot be written: Permission denied"
    assert caught.value.hint == "Choose another place."
    assert (tmp_path / "file").read_bytes() == b"old"
    assert leftovers(tmp_path) == ["file"]


def test_a_commit_that_fails_says_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_files(tmp_path, generation("old"))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (commit_files, lambda directory, _files: check_writable(directory, 100)):
        with pytest.raises(StorageError) as caught:
            write(tmp_path, generation("new"))
        assert caught.value.message == f"{tmp_path} cannot be written: No space left on device"
        assert caught.value.hint == "Free some space there. Choose another place with --exports DIR."
    assert recorded_word(tmp_path) == "old"
    assert leftovers(tmp_path) == []


def test_what_cannot_be_committed_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^'a:b' is not a plain file name$"):
        commit_files(tmp_path, {"a:b": b""})
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError) as caught:
        commit_files(tmp_path, {"taken": b""})
    assert caught.value.message == f"{tmp_path} cannot be written: taken is a directory"
    assert caught.value.hint == "Choose another place with --exports DIR."


def test_the_room_for_the_work_is_tried_out_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: written.append(os.fstat(descriptor).st_size))
    directory = tmp_path / "not" / "there"
    for _ in range(2):
        check_writable(directory, 12_345)
        assert list(directory.iterdir()) == []
    assert written == [12_345, 12_345]


@pytest.mark.parametrize("interrupted", [1, 2, 3, 4])
def test_a_first_commit_that_fails_at_any_file_leaves_none(
    interrupted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth is the journal; what an interrupted write itself leaves is removed, too."""
    calls: list[Path] = []

    def write_synced(path: Path, data: bytes) -> None:
        calls.append(path)
        path.write_bytes(data)
        if len(calls) == interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr("edgemnist.agent.durable.write_synced", write_synced)
    with pytest.raises(KeyboardInterrupt):
        commit_files(tmp_path, generation("new"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cleared", [False, True])
def test_a_commit_that_fails_at_the_name_of_the_journal_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cleared: bool
) -> None:
    commit_files(tmp_path, generation("old"))

    def refused(_source: str, _target: str) -> None:
        if cleared:
            # By somebody else, at the same time.
            next(tmp_path.glob(f"{TEMPORARY_PREFIX}model*")).unlink()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(StorageError, match="Input/output error"):
        commit_files(tmp_path, generation("new"))
    assert recorded_word(tmp_path) == "old"
    assert leftovers(tmp_path) == []


def test_a_lost_file_and_a_damaged_journal_are_told_with_what_to_do(tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL_FILE
    again = f"and write the files again with: edgemnist export --exports {tmp_path}"
    # A journal of an older version, without hashes, and one of this.
    for temporary in (f"{TEMPORARY_PREFIX}a", f"{TEMPORARY_PREFIX}a-1-{'0' * 64}"):
        journal.write_text(json.dumps({temporary: "model.keras"}))
        with pytest.raises(StorageError) as caught:
            recover(tmp_path)
        assert caught.value.message == (
            f"{tmp_path} has lost the new model.keras: the machine stopped while a command was writing it"
        )
        assert caught.value.hint == f"Delete {journal}, {again}"
        # The old model has its name, but not the hash of the new one.
        (tmp_path / "model.keras").write_bytes(b"old")
    journal.write_text("{")
    with pytest.raises(StorageError) as caught:
        recover(tmp_path)
    assert caught.value.message == f"{journal} is damaged"
    assert caught.value.hint == f"Delete it, {again}"


def test_a_journal_whose_renames_are_all_made_is_removed(tmp_path: Path) -> None:
    data = b"new"
    (tmp_path / "model.keras").write_bytes(data)
    for temporary in (f"{TEMPORARY_PREFIX}a", f"{TEMPORARY_PREFIX}a-1-{sha256(data)}"):
        (tmp_path / JOURNAL_FILE).write_text(json.dumps({temporary: "model.keras"}))
        recover(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0b", "C:"])
@pytest.mark.parametrize("is_temporary", [False, True])
def test_a_journal_names_plain_files_only(name: str, tmp_path: Path, *, is_temporary: bool) -> None:
    journal = {f"{TEMPORARY_PREFIX}{name}/": "a"} if is_temporary else {f"{TEMPORARY_PREFIX}x": name}
    (tmp_path / JOURNAL_FILE).write_text(json.dumps(journal))
    with pytest.raises(StorageError, match=r"\.commit\.json is damaged"):
        recover(tmp_path)


def test_a_journal_moves_temporary_files_only(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"model")
    (tmp_path / JOURNAL_FILE).write_text('{"model.keras": "golden.npz"}')
    with pytest.raises(StorageError, match="damaged"):
        recover(tmp_path)
    assert (tmp_path / "model.keras").read_bytes() == b"model"


def test_a_commit_that_cannot_be_completed_is_told_with_who_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{TEMPORARY_PREFIX}a").write_bytes(b"new")
    (tmp_path / JOURNAL_FILE).write_text(json.dumps({f"{TEMPORARY_PREFIX}a": "a"}))

    def refused(_source: str, _target: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(StorageError) as caught:
        recover(tmp_path)
    assert caught.value.message == (
        f"A command was interrupted while it wrote to {tmp_path}, and its work cannot be completed: "
        "Read-only file system"
    )
    assert caught.value.hint == "Run an edgemnist command on that directory as a user who can write there."


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_journal_that_cannot_be_removed_matters_only_if_something_was_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_renamed: bool
) -> None:
    temporary = f"{TEMPORARY_PREFIX}a-1-{sha256(b'new')}"
    (tmp_path / ("a" if is_renamed else temporary)).write_bytes(b"new")
    (tmp_path / JOURNAL_FILE).write_text(json.dumps({temporary: "a"}))

    def refused(_path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refused)
    if is_renamed:
        recover(tmp_path)
    else:
        with pytest.raises(StorageError, match="Read-only file system"):
            recover(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_what_somebody_else_removes_at_the_same_time_does_not_stop_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = tmp_path / f"{TEMPORARY_PREFIX}a-1-00"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    real = os.unlink

    def gone(path: str | Path) -> None:
        real(path)
        if Path(path) == abandoned:
            raise FileNotFoundError

    monkeypatch.setattr(os, "unlink", gone)
    commit_files(tmp_path, generation("new"))
    assert recorded_word(tmp_path) == "new"


def test_two_writers_of_the_same_bytes_use_a_temporary_file_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("edgemnist.agent.durable.write_synced", lambda path, _data: seen.append(path.name))
    for _ in range(2):
        with pytest.raises(StorageError):
            write_file(tmp_path / ".file", b"same")
    assert len(set(seen)) == 2
    assert all(name.startswith(f"{TEMPORARY_PREFIX}file-{os.getpid()}-") for name in seen)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_device_that_takes_nothing_is_named_itself() -> None:
    with pytest.raises(StorageError, match=r"^/dev/full cannot be written: No space left on device$"):
        write_file(Path("/dev/full"), b"1\n")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr", "/dev/fd/7", "/proc/self/fd/7"])
def test_the_name_of_a_stream_is_one_wherever_it_leads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert is_stream(Path(name))


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_file(tmp_path / "pipe", b"data\n")
    reader.join(60)
    assert read == [b"data\n"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_or_a_device_is_a_stream_and_a_file_or_a_directory_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert is_stream(tmp_path / "pipe")
    assert is_stream(Path("/dev/null"))
    for name in ("file", "missing", "."):
        assert not is_stream(tmp_path / name)
