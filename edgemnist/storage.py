"""Writing files so that a command killed at any point leaves the old ones or the new ones.

One file is written to a temporary name in its directory, synced and renamed. Several files that belong together, such
as artifacts and their manifest, are committed as one: a journal names the finished temporary files, and once the
journal itself is in place the commit has happened; whoever comes next completes the renames (`recover`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from edgemnist.errors import StorageError

JOURNAL_FILE = ".commit.json"
TEMPORARY_PREFIX = ".tmp-"


def write_file(path: Path, data: bytes) -> None:
    """Write one file atomically.

    Raises StorageError where the directory is missing, read-only or full; the old file is then untouched.
    """
    with _explained(path.parent):
        temporary = _write_temporary(path.parent, path.name, data)
        try:
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def commit_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write several files of one directory, all or none; the directory is made where it is missing.

    Raises StorageError where that is impossible; the old files are then untouched.
    """
    with _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        recover(directory)
        renames: dict[str, str] = {}
        try:
            for name, data in files.items():
                renames[_write_temporary(directory, name, data).name] = name
            journal = _write_temporary(directory, JOURNAL_FILE, msgspec.json.encode(renames))
            journal.replace(directory / JOURNAL_FILE)
        except BaseException:
            for temporary in directory.glob(f"{TEMPORARY_PREFIX}*-{os.getpid()}-*"):
                temporary.unlink(missing_ok=True)
            raise
        _sync_directory(directory)
        recover(directory)


def recover(directory: Path) -> None:
    """Complete a commit that was cut short after its journal was in place.

    Raises StorageError where the renames cannot be made, on a read-only directory for example.
    """
    journal = directory / JOURNAL_FILE
    try:
        renames = msgspec.json.decode(journal.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        raise StorageError(f"{journal} cannot be read: {error.strerror}") from error
    with _explained(directory):
        for temporary, name in renames.items():
            # A temporary file that is gone was renamed before the interruption.
            with contextlib.suppress(FileNotFoundError):
                (directory / temporary).replace(directory / name)
        _sync_directory(directory)
        journal.unlink(missing_ok=True)


def _write_temporary(directory: Path, name: str, data: bytes) -> Path:
    temporary = directory / f"{TEMPORARY_PREFIX}{name.lstrip('.')}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_directory(directory: Path) -> None:
    # Windows cannot open a directory; there the rename itself is all there is.
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn the operating system's refusals into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "Free some space there, or choose another place with --exports DIR.",
            errno.EDQUOT: "Free some space there, or choose another place with --exports DIR.",
            errno.EROFS: "Choose a place that can be written with --exports DIR.",
            errno.EACCES: "Choose a place that can be written with --exports DIR.",
            errno.EPERM: "Choose a place that can be written with --exports DIR.",
            errno.ENOENT: "Make the directory first.",
            errno.ENOTDIR: "Choose a directory with --exports DIR.",
            errno.EEXIST: "Choose a directory with --exports DIR.",
        }
        reason = error.strerror or str(error)
        raise StorageError(f"{directory} cannot be written: {reason}", hint=hints.get(error.errno or 0, "")) from error
