"""File operations that a crash or a power cut leaves done or undone."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from edgemnist.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator


_CHUNK = 1 << 20
_REFUSED = {
    errno.ENOSPC: ("the disk of the board is full", "Free some space there: sudo apt clean"),
    errno.EROFS: ("the file system of the board is read-only", "Make it writable there: sudo mount -o remount,rw /"),
    errno.EACCES: ("Permission denied", "Choose a directory that this user may write, with --root."),
}


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Windows cannot open one; there the rename itself is all there is."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file, and its contents to the disk. The name is durable after `sync_directory` only."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_tree(directory: Path) -> None:
    """Make all names below a directory durable."""
    for parent, _, _ in os.walk(directory):
        sync_directory(Path(parent))


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in the place of another, at once."""
    temporary = path.with_name(f".{path.name}.new")
    write_synced(temporary, data)
    temporary.replace(path)
    sync_directory(path.parent)


def replace_link(link: Path, target: str) -> None:
    """Point a symbolic link somewhere else, at once: a reader finds the old target or the new one."""
    temporary = link.with_name(f".{link.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def discard(path: Path, bin_: Path) -> None:
    """Remove a directory so that nobody ever sees half of it: it is moved to `bin_` first."""
    grave = tempfile.mkdtemp(prefix="removed-", dir=bin_)
    path.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)


_POLL_S = 0.1


@contextlib.contextmanager
def exclusive(path: Path, *, wait_s: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock for as long as the body runs.

    Waits up to `wait_s` seconds for another holder, after telling `waiting` who that is; then raises DeployError.
    """
    import fcntl

    deadline = time.monotonic() + wait_s
    told = False
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise DeployError(
                        f"Another deployment is running on this board (process {_holder(path)})",
                        hint="Try again when it is done, or wait longer with --wait.",
                    ) from None
                if not told:
                    waiting(f"waiting for another deployment (process {_holder(path)})")
                    told = True
                time.sleep(_POLL_S)
        # The kernel's lock counts, and a full disk has no room for a name.
        with contextlib.suppress(OSError):
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        # Children do not inherit the descriptor, so the lock ends with this process however that ends.
        yield


def holder(path: Path) -> str | None:
    """Return the process that holds the lock, or None where it is free."""
    import fcntl

    try:
        with path.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _holder(path)
    return None


def _holder(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() or "unknown"


def cannot_change(root: Path, error: OSError) -> DeployError:
    """Return why the directory of a board cannot be changed, as a sentence."""
    reason, hint = _REFUSED.get(error.errno or 0, (error.strerror or str(error), ""))
    return DeployError(f"{root} cannot be changed: {reason}", hint=hint)
