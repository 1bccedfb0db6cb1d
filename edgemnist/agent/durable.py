"""File operations that a crash or a power cut leaves done or undone."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from edgemnist.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator


_CHUNK = 1 << 20


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


TREE_FILE = ".files.json"
"""Kept in a directory: what every file in it was when it was finished."""
BYTECODE = "__pycache__"
COMPILED_FILE = f"{BYTECODE}/compiled.json"
"""Kept in a directory: what Python had compiled there when it was seen to work. Older versions do not look there, and
would take a file in another place for a change."""


def record_tree(directory: Path) -> None:
    """Write down what the files and links below a directory are, but for what Python compiles.

    `find_change` compares.
    """
    files, links = _tree(directory)
    hashed = {name: [*stamp, hash_file(directory / name)] for name, stamp in files.items()}
    write_synced(directory / TREE_FILE, json.dumps({"files": hashed, "links": links}).encode())


def find_change(directory: Path) -> str:
    """Return the first file or link that is not as `record_tree` found it, in words; empty if all are.

    It is empty, too, if nothing is recorded. A file is read only if its stamp differs. Whoever writes to a file changes
    its ctime, which nobody can set back.
    """
    try:
        written = (directory / TREE_FILE).read_bytes()
    except FileNotFoundError:
        # Installed by a version that did not write it down yet.
        return ""
    except OSError as error:
        return f"{TREE_FILE} cannot be read ({error.strerror})"
    try:
        return _first_change(directory, json.loads(written))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        return f"{TREE_FILE} is damaged ({error})"


def _first_change(directory: Path, recorded: dict[str, Any]) -> str:
    files, links = _tree(directory)
    if not isinstance(recorded.get("links"), dict):
        # Recorded by a version that did not look at links.
        recorded = {"files": recorded, "links": dict(links)}
    for name, (size, inode, ctime, sha256) in recorded["files"].items():
        stamp = files.pop(name, None)
        if stamp is None:
            return f"{name} is missing"
        if stamp != [size, inode, ctime] and hash_file(directory / name) != sha256:
            return f"{name} was changed"
    for name, target in recorded["links"].items():
        leads = links.pop(name, None)
        if leads != target:
            return f"{name} is missing" if leads is None else f"{name} was changed"
    added = {*files, *links}
    return f"{min(added)} was added" if added else ""


def _tree(directory: Path) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Return size, inode and ctime of every file below a directory, and where every link leads, both by name."""
    # Thousands of files: they are named by strings, as a `Path` for each would take longer than reading the disk.
    above = len(f"{directory}/")
    found: dict[str, list[int]] = {}
    links: dict[str, str] = {}
    for parent, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if name != BYTECODE)
        # A link to a directory is among the directories, and is not followed.
        for name in sorted(directories + files):
            path = f"{parent}/{name}"
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                links[path[above:]] = os.readlink(path)  # noqa: PTH115 - see above
            elif not stat.S_ISDIR(status.st_mode) and name not in (TREE_FILE, ".complete"):
                found[path[above:]] = [status.st_size, status.st_ino, status.st_ctime_ns]
    return found, links


def discard_bytecode(directory: Path) -> None:
    """Remove what Python compiled below a directory, but for what is as `record_bytecode` found it.

    It would run instead of the files that `find_change` compares.
    """
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, RecursionError):
        known = json.loads((directory / COMPILED_FILE).read_bytes())
    kept = known if isinstance(known, dict) else {}
    for path, name, stamp in _compiled(directory):
        with contextlib.suppress(OSError):
            if stamp is None or not _is_same(path, stamp, kept.get(name)):
                path.unlink()


def record_bytecode(directory: Path) -> None:
    """Write down what Python compiled below a directory, for `discard_bytecode`: after it was seen to work."""
    found = {}
    for path, name, stamp in _compiled(directory):
        if stamp is None:
            continue
        with contextlib.suppress(OSError):
            found[name] = [*stamp, hash_file(path)]
    data = json.dumps(found).encode()
    with contextlib.suppress(OSError):
        if data == (directory / COMPILED_FILE).read_bytes():
            return
    # Without it, Python compiles again: no reason for a deployment to fail.
    with contextlib.suppress(OSError):
        (directory / BYTECODE).mkdir(exist_ok=True)
        write_synced(directory / COMPILED_FILE, data)


def _is_same(path: Path, stamp: list[int], recorded: object) -> bool:
    if not isinstance(recorded, list) or len(recorded) != len(stamp) + 1:
        return False
    return recorded[:-1] == stamp or (recorded[0] == stamp[0] and recorded[-1] == hash_file(path))


def _compiled(directory: Path) -> Iterator[tuple[Path, str, list[int] | None]]:
    """Yield what lies where Python keeps bytecode, its name, and size, inode and ctime, or None for what is no file."""
    above = len(f"{directory}/")
    for parent, directories, files in os.walk(directory):
        if BYTECODE in directories and os.path.islink(f"{parent}/{BYTECODE}"):  # noqa: PTH114 - thousands of files
            yield Path(parent, BYTECODE), f"{parent}/{BYTECODE}"[above:], None
        if not parent.endswith(f"/{BYTECODE}"):
            continue
        for name in sorted(directories + files):
            path = f"{parent}/{name}"
            if path[above:] == COMPILED_FILE:
                continue
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                # The file in which a running service was compiling.
                continue
            stamp = [status.st_size, status.st_ino, status.st_ctime_ns] if stat.S_ISREG(status.st_mode) else None
            yield Path(path), path[above:], stamp


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
    bin_.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        grave = bin_ / f"removed-{number}"
        if not os.path.lexists(grave):
            break
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
