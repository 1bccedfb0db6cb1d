"""Files are replaced as a whole or not at all, in processes that are killed and on file systems that refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
