"""The file in which a search keeps what it has tried: an Optuna journal that one process writes at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from optuna.storages.journal import JournalFileBackend

from edgemnist.errors import StorageError, UsageError, reason_of

JOURNAL_FILE: Final = "search.journal"
LOCK_FILE: Final = "search.lock"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a search's directory; it ends with the process, however that ends.

    Raises UsageError if another search holds it, and StorageError if the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK_FILE).open("ab")
    except OSError as error:
        raise _unwritable(directory, error) from error
    with file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"Another search is running in {directory}", hint="Wait for it, or choose another place with --to."
                ) from None
            except OSError as error:
                # Some network file systems have no locks.
                del error
        yield


class Journal(JournalFileBackend):
    """The journal file: what was written before a kill is there, and what was half written is as if it never was."""

    def __init__(self, directory: Path) -> None:
        """Open the journal of a directory, or begin one. Raises StorageError if it cannot be read or written."""
        self._place = directory / JOURNAL_FILE
        try:
            _remove_torn_line(self._place)
            super().__init__(str(self._place))
        except OSError as error:
            raise _unwritable(directory, error) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write whole lines or none. Raises StorageError if the disk is full.

        Without Optuna's lock, which would outlive a killed process: `locked` keeps others away.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        try:
            with self._place.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    # A disk that gets full takes a part, and refuses the rest.
                    written = 0
                    while written < len(lines):
                        written += file.write(lines[written:])
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)
                    raise
        except OSError as error:
            raise _unwritable(self._place.parent, error) from error


def _remove_torn_line(path: Path) -> None:
    """Cut off a last line that a power cut left unfinished."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    # A file system may have kept the length and lost the contents.
    while whole and not _is_json(whole[whole.rfind(b"\n", 0, -1) + 1 :]):
        whole = whole[: whole.rfind(b"\n", 0, -1) + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _unwritable(directory: Path, error: OSError) -> StorageError:
    repair = "Free some space there" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "Repair that"
    return StorageError(
        f"{directory} cannot be written: {reason_of(error)}",
        hint=f"{repair} and run the search again to continue it, or start over in another place with --to.",
    )
