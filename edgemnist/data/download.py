"""Where data sets are kept between runs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgemnist import __version__
from edgemnist.data.idx import GZIP_MAGIC
from edgemnist.errors import DataError, StorageError
from edgemnist.progress import Reporter
from edgemnist.storage import write_file

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from edgemnist.data.sources import RemoteFile
    from edgemnist.progress import Task


def cache_directory(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the user's cache directory for edgemnist, which may not exist yet.

    `$EDGEMNIST_CACHE`, or what the system prescribes: the XDG base directories on Linux, `~/Library/Caches` on macOS,
    `%LOCALAPPDATA%` on Windows.
    """
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


def keep(directory: Path, files: Mapping[str, bytes], reporter: Reporter) -> None:
    """Write files for the next run. Where that is impossible, say so and go on: a cache is a convenience."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_file(directory / name, data)
    except (OSError, StorageError) as error:
        reporter.notice(f"Nothing could be kept for the next run: {error}")


REACH_TIMEOUT_S: Final = 4.0
"""For the first answer of any mirror: a machine without network is to notice within 5 s, name resolution included."""
READ_TIMEOUT_S: Final = 10.0
"""For a connection, and for each piece of a file after it."""
MAX_ATTEMPTS: Final = 5
"""Connections to one mirror for one file, as long as each brings it further."""

_CHUNK: Final = 1 << 16
_PARTIAL_CONTENT: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416


class UnreachableError(DataError):
    """No mirror answered, or none delivered a whole file."""


def fetch(
    files: Sequence[RemoteFile],
    mirrors: Sequence[str],
    directory: Path,
    reporter: Reporter,
    *,
    reach_timeout: float = REACH_TIMEOUT_S,
    read_timeout: float = READ_TIMEOUT_S,
) -> dict[str, bytes]:
    """Return the contents of `files` by name, as the mirrors have them, gzipped or not.

    `mirrors` are base URLs that end in a slash; the first to answer within `reach_timeout` seconds is asked first. What
    has come of a file when a connection ends lies in `directory` as `NAME.part`, where that can be written, and the
    next attempt, in this run or a later one, goes on from there. Nothing else is written.

    Raises UnreachableError where the network or all mirrors fail, and DataError where a file has another SHA-256 than
    it should on every mirror that has it.
    """
    first = _first_to_answer(mirrors, files[0].name, reach_timeout)
    ordered = [first, *(mirror for mirror in mirrors if mirror != first)]
    contents: dict[str, bytes] = {}
    with reporter.task(f"Downloading from {_host(first)}", total=sum(file.bytes for file in files)) as task:
        for file in files:
            partial = _Partial(directory / f"{file.name}.part")
            show = _progress(task, file, before=sum(map(len, contents.values())))
            contents[file.name] = _fetch_file(file, ordered, partial, read_timeout, show)
            partial.discard()
    return contents


def content_sha256(data: bytes | bytearray) -> str:
    """Return the SHA-256 of a file's contents, unpacked if they are gzipped. Empty where the gzip data is damaged."""
    import gzip
    import zlib

    digest = hashlib.sha256()
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if data.startswith(GZIP_MAGIC) else io.BytesIO(data)
    try:
        while block := stream.read(1 << 20):
            digest.update(block)
    except (OSError, EOFError, zlib.error):
        return ""
    return digest.hexdigest()


class _WrongContentError(Exception):
    """The mirror has another file under this name."""


class _Partial:
    """What has come of a file so far: in memory and, as far as the disk allows, in a file for the next run."""

    def __init__(self, path: Path) -> None:
        self.data = bytearray()
        self._path = path
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.data += path.read_bytes()

    def append(self, chunk: bytes) -> None:
        self.data += chunk
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(chunk)

    def discard(self) -> None:
        self.data.clear()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _first_to_answer(mirrors: Sequence[str], name: str, timeout: float) -> str:
    """Return the mirror that answers first; all are asked at once, so that the dead ones cost nothing."""
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def ask(mirror: str) -> None:
        try:
            with _open(mirror + name, timeout=timeout, method="HEAD"):
                answers.put((mirror, ""))
        except _failures() as error:
            answers.put((mirror, _reason(error)))

    for mirror in mirrors:
        # A daemon, since nothing else ends a name resolution that hangs.
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    deadline = time.monotonic() + timeout
    reasons: list[str] = []
    for _ in mirrors:
        try:
            mirror, failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            reasons.append(f"no answer within {timeout:g} s")
            break
        if not failure:
            return mirror
        reasons.append(failure)
    raise UnreachableError(f"No mirror can be reached ({_joined(reasons) or 'none is known'})")


def _fetch_file(
    file: RemoteFile, mirrors: Sequence[str], partial: _Partial, timeout: float, show: Callable[[int], None]
) -> bytes:
    """Return a file from the first mirror that has it whole."""
    failures: list[str] = []
    wrong: list[str] = []
    for mirror in mirrors:
        try:
            return _fetch_from(mirror + file.name, file.sha256, partial, timeout, show)
        except _WrongContentError:
            wrong.append(_host(mirror))
        except _failures() as error:
            failures.append(_reason(error))
    if wrong:
        raise DataError(
            f"{file.name} from {' and '.join(wrong)} is not the file that was published: its SHA-256 differs",
            hint="Get the four files elsewhere, and name their directory with --data DIR.",
        )
    raise UnreachableError(f"{file.name} could not be downloaded ({_joined(failures)})")


def _fetch_from(url: str, sha256: str, partial: _Partial, timeout: float, show: Callable[[int], None]) -> bytes:
    """Return a file from one mirror, going on where a connection ended early, as long as that helps.

    Raises _WrongContentError, or one of `_failures`.
    """
    for attempt in itertools.count(1):
        before = len(partial.data)
        try:
            _collect(url, partial, timeout, show)
        except _failures():
            if len(partial.data) == before or attempt == MAX_ATTEMPTS:
                raise
            continue
        if content_sha256(partial.data) == sha256:
            break
        partial.discard()
        # The half that was there before may have been at fault; a file that came in one piece is the mirror's own.
        if not before:
            raise _WrongContentError
    return bytes(partial.data)


def _collect(url: str, partial: _Partial, timeout: float, show: Callable[[int], None]) -> None:
    """Fetch what is missing of a file. Raises one of `_failures` where the connection ends early."""
    from urllib.error import HTTPError

    start = len(partial.data)
    try:
        response = _open(url, timeout=timeout, start=start)
    except HTTPError as error:
        if error.code == _RANGE_NOT_SATISFIABLE:
            # More is there than the file has: it is of no use.
            partial.discard()
        raise
    with response:
        resumed = response.status == _PARTIAL_CONTENT and _range_start(response) == start
        if not resumed:
            partial.discard()
        begin = len(partial.data)
        length = response.headers.get("Content-Length")
        while chunk := response.read1(_CHUNK):
            partial.append(chunk)
            show(len(partial.data))
    received = len(partial.data) - begin
    if length is not None and received < int(length):
        raise ConnectionError(f"the connection ended after {received:,} of {int(length):,} bytes")


def _open(url: str, *, timeout: float, method: str = "GET", start: int = 0) -> HTTPResponse:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    # Packed by us or not at all: a length that the server counts differently would look like a cut connection.
    headers = {"User-Agent": f"edgemnist/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = Request(url, headers=headers, method=method)  # noqa: S310 - the URLs stand in mnist.py
    try:
        response: HTTPResponse = urlopen(request, timeout=timeout)  # noqa: S310
    except HTTPError as error:
        # It holds the connection.
        error.close()
        raise
    return response


def _range_start(response: HTTPResponse) -> int | None:
    """Return where the part begins, from a header such as `bytes 100-199/200`."""
    _, _, content_range = response.headers.get("Content-Range", "").partition("bytes ")
    first, _, _ = content_range.partition("-")
    return int(first) if first.isdecimal() else None


def _failures() -> tuple[type[Exception], ...]:
    """Return what urllib raises for anything that a network or a server can do."""
    from http.client import HTTPException

    return (OSError, HTTPException, ValueError)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return "timed out" if isinstance(reason, TimeoutError) else str(getattr(reason, "strerror", None) or reason)


def _joined(reasons: Sequence[str]) -> str:
    # Mirrors mostly fail for the same reason, which need be read once only.
    return "; ".join(dict.fromkeys(reasons))


def _host(mirror: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(mirror).netloc


def _progress(task: Task, file: RemoteFile, *, before: int) -> Callable[[int], None]:
    def show(received: int) -> None:
        task.update(before + received, f"{file.name} {received / 1e6:.1f} of {file.bytes / 1e6:.1f} MB")

    return show
