"""Writing files so that a command killed at any point leaves the old ones or the new ones.

One file is written to a temporary name in its directory, synced and renamed. Several files that belong together, such
as artifacts and their manifest, are committed as one: a journal names the finished temporary files, and once it is in
place the commit has happened; whoever comes next completes the renames (`recover`). The name of each temporary file
ends in the hash of its contents, which tells a file lost in a power cut from a renamed one.

Commands that commit to one directory take turns through a lock on it; on Windows, which cannot lock a directory, that
is up to the user. The operations are the board agent's, imported where they are used, since most commands only read.
"""

import contextlib
import errno
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from edgemnist.errors import StorageError, reason_of
from edgemnist.ground.results import UNREADABLE

# As the standard library's own `random` does: what hashlib prefers is OpenSSL, which takes 4 MB of memory, a tenth of
# what `edgemnist predict` takes.
try:
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]  # private
except ImportError:
    try:
        # Until Python 3.11.
        from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, no-redef, unused-ignore]  # private
    except ImportError:
        from hashlib import sha256 as _sha256  # type: ignore[no-redef, unused-ignore]  # the same function

JOURNAL_FILE = ".commit.json"
TEMPORARY_PREFIX = ".tmp-"
_COMMIT_PREFIX: Final = f"{TEMPORARY_PREFIX}commit-"
"""Of the temporary files of a commit, which nobody else uses while its lock is held."""
_HASHED = re.compile(r"-([0-9a-f]{64})$")
ABANDONED_AFTER_S = 3600.0
"""Age at which a temporary file is taken for one that a killed command left: no command writes for an hour."""
BLOCK: Final = 2**18
"""Bytes of a file that are hashed at once."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return str(_sha256(data).hexdigest())


def sha256_of(file: IO[bytes]) -> str:
    """Return the SHA-256 of what is left of an open file, in hexadecimal. Raises OSError where it cannot be read."""
    digest = _sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return str(digest.hexdigest())


def cache_directory(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the user's cache directory: `$EDGEMNIST_CACHE`, or the system's for edgemnist. It may not exist yet."""
    if chosen := environ.get("EDGEMNIST_CACHE"):
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        # A container may run under a user that has no home.
        return Path(tempfile.gettempdir()) / "edgemnist"
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "edgemnist" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "edgemnist"
    # The XDG specification says to ignore a path that is not absolute.
    xdg = Path(environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else home / ".cache") / "edgemnist"


def write_file(path: Path, data: bytes) -> None:
    """Write one file atomically; a pipe or a device, such as `/dev/stdout`, is written to and stays what it is.

    Raises StorageError if the directory is missing, read-only or full, or if `path` is a directory; the old file then
    stays as it is.
    """
    from edgemnist.board.agent.durable import sync_directory

    with _explained(path.parent, "Choose another place."):
        if path.is_dir():
            raise StorageError(f"{path} is a directory", hint="Name a file.")
        if is_stream(path):
            # A device is full, or refuses, by itself: its directory has nothing to do with it.
            with _explained(path, "Choose another place."), path.open("wb") as stream:
                stream.write(data)
            return
        temporary = _write_temporary(path.parent, path.name, data)
        try:
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe, a device, or the name of a stream that is open, whatever that leads to."""
    place = os.path.abspath(path)  # noqa: PTH100 - where the links begin, not where they end
    return place.startswith(("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")) or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def commit_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write several files of one directory, all or none; the directory is created if it is missing.

    The keys of `files` are plain names. Raises StorageError if that is impossible; the old files are then untouched.
    """
    for name in files:
        if not is_plain(name):
            raise ValueError(f"{name!r} is not a plain file name")
    with _explained(directory, "Choose another place with --exports DIR."):
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory) as alone:
            _complete(directory)
            _remove_abandoned(directory)
            if alone:
                _remove_abandoned(directory, _COMMIT_PREFIX, after_s=-math.inf)
            for name in files:
                # Found out now: a rename that fails later would leave a commit that nobody can complete.
                if (directory / name).is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
            _place_journal(directory, files)
            _complete(directory)


@contextlib.contextmanager
def new_directory(path: Path, prefix: str) -> Iterator[Path]:
    """Make a directory of several files appear when it is complete: the body fills one beside it that is yielded.

    The files must be synced. If the body raises, nothing is left. `prefix` is that of the temporary name, by which what
    killed commands left is found. Raises OSError if the directory cannot be made, or `path` is one with files in it.
    """
    from edgemnist.board.agent.durable import sync_directory, sync_tree

    _remove_abandoned(path.parent, prefix)
    place = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
    try:
        # `mkdtemp` keeps others out.
        place.chmod(0o755)
        yield place
        sync_tree(place)
        place.rename(path)
        sync_directory(path.parent)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def check_writable(directory: Path, size: int) -> None:
    """Raise StorageError, before hours of work, unless `size` bytes can be written; the directory is created."""
    with _explained(directory, "Choose another place with --exports DIR."):
        directory.mkdir(parents=True, exist_ok=True)
        _write_temporary(directory, "check", bytes(size)).unlink()


def recover(directory: Path) -> None:
    """Complete a commit that was cut short after its journal was in place.

    Raises StorageError if the renames cannot be made, on a read-only directory for example, or if the journal is
    damaged or names a file that is lost: such a directory holds neither the old files nor the new ones.
    """
    try:
        if not (directory / JOURNAL_FILE).exists():
            return
    except OSError:
        # Whoever reads the directory next says why that is impossible.
        return
    try:
        # A command that is committing at this moment holds the lock, and completes its own journal.
        with _locked(directory):
            _complete(directory)
    except OSError as error:
        raise StorageError(
            f"A command was interrupted while it wrote to {directory}, and its work cannot be completed: "
            f"{error.strerror or error}",
            hint="Run an edgemnist command on that directory as a user who can write there.",
        ) from error


def _place_journal(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write all files to temporary names and the journal that names them: from its rename on, the commit stands."""
    from edgemnist.board.agent.durable import sync_directory

    written: dict[str, str] = {}
    journal: Path | None = None
    try:
        for name, data in files.items():
            written[_write_temporary(directory, name, data, _COMMIT_PREFIX).name] = name
        # The journal must not outlive the names that it promises.
        sync_directory(directory)
        journal = _write_temporary(directory, JOURNAL_FILE, msgspec.json.encode(written), _COMMIT_PREFIX)
        journal.replace(directory / JOURNAL_FILE)
    except BaseException:
        # Ctrl-C may arrive just after the rename; then the journal stands, and needs its files.
        if journal is None or journal.exists():
            for leftover in (*written, *([journal.name] if journal else [])):
                (directory / leftover).unlink(missing_ok=True)
        raise
    sync_directory(directory)


def _complete(directory: Path) -> None:
    """Make the renames of the journal, if there is one. The caller holds the lock."""
    renames = _read_journal(directory)
    if renames is None:
        return
    from edgemnist.board.agent.durable import sync_directory

    pending = {temporary: name for temporary, name in renames.items() if (directory / temporary).exists()}
    for temporary, name in renames.items():
        if temporary not in pending and not _is_renamed(temporary, directory / name):
            raise StorageError(
                f"{directory} has lost the new {name}: the machine stopped while a command was writing it",
                hint=f"Delete {directory / JOURNAL_FILE}, and write the files again with: "
                f"edgemnist export --exports {shlex.quote(str(directory))}",
            )
    for temporary, name in pending.items():
        (directory / temporary).replace(directory / name)
    if pending:
        sync_directory(directory)
    try:
        (directory / JOURNAL_FILE).unlink()
    except OSError:
        # With everything in its place a directory that cannot be written can still be read.
        if pending:
            raise


def _is_renamed(temporary: str, path: Path) -> bool:
    """Return whether a file is the one that had a temporary name; journals of older versions do not record its hash."""
    from edgemnist.board.agent.durable import hash_file

    recorded = _HASHED.search(temporary)
    with contextlib.suppress(OSError):
        return hash_file(path) == recorded[1] if recorded else path.is_file()
    return False


def _read_journal(directory: Path) -> dict[str, str] | None:
    """Return the final name of each temporary file, or None if no commit is pending."""
    path = directory / JOURNAL_FILE
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        renames = msgspec.json.decode(data, type=dict[str, str])
    except UNREADABLE:
        renames = {"": ""}
    # The journal moves files, so it must not be able to reach beyond its directory.
    if not all(
        is_plain(name) and is_plain(temporary) and temporary.startswith(TEMPORARY_PREFIX)
        for temporary, name in renames.items()
    ):
        raise StorageError(
            f"{path} is damaged",
            hint=f"Delete it, and write the files again with: edgemnist export --exports {shlex.quote(str(directory))}",
        )
    return renames


def _remove_abandoned(directory: Path, prefix: str = TEMPORARY_PREFIX, *, after_s: float = ABANDONED_AFTER_S) -> None:
    """Delete what killed commands left. The caller holds the lock of the directory and has completed its journal."""
    oldest = time.time() - after_s
    for leftover in directory.glob(f"{prefix}*"):
        # Somebody else may delete it first.
        with contextlib.suppress(FileNotFoundError):
            if leftover.lstat().st_mtime >= oldest:
                continue
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def _write_temporary(directory: Path, name: str, data: bytes, prefix: str = TEMPORARY_PREFIX) -> Path:
    from edgemnist.board.agent.durable import write_synced

    unique = f"{os.getpid()}-{os.urandom(4).hex()}"
    temporary = directory / f"{prefix}{name.lstrip('.')}-{unique}-{sha256(data)}"
    try:
        write_synced(temporary, data)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def is_plain(name: str) -> bool:
    """Return whether a name is that of a file or directory in its own place, on every system."""
    return name not in {"", ".", ".."} and not set(name) & {"/", "\\", "\0", ":"}


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Hold the directory's lock, and yield whether there is one; it ends with the process that holds it."""
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        held = False
        # Some network file systems have no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            held = True
        yield held
    finally:
        os.close(descriptor)


_ROOM: Final = "Free some space there. "
_ADVICE: Final = {errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.ENOENT: "Create the directory first. "}


@contextlib.contextmanager
def _explained(directory: Path, elsewhere: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = _ADVICE.get(error.errno or 0, "") + elsewhere
        raise StorageError(f"{directory} cannot be written: {reason_of(error)}", hint=hint) from error
