"""Downloading a data set of a few megabytes, and where data sets are kept between runs."""

from __future__ import annotations

import hashlib
import io
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgemnist import __version__
from edgemnist.data.idx import GZIP_MAGIC
from edgemnist.errors import DataError, StorageError
from edgemnist.progress import Reporter
from edgemnist.storage import write_file

if TYPE_CHECKING:
    from http.client import HTTPResponse

REACH_TIMEOUT_S: Final = 4.0
"""For the first answer of any mirror: without a network this is noticed within 5 s, name resolution included."""
READ_TIMEOUT_S: Final = 10.0
"""For a connection, and for each piece of a file after it."""
FILE_TIMEOUT_S: Final = 600.0
"""For a whole file, so that a mirror that sends a byte now and then is given up."""
ROUNDS: Final = 2
"""Over all mirrors for a file: a connection that was cut is often fine the second time."""
MAX_BYTES: Final = 64_000_000
"""Of a file, packed and unpacked: the largest has 47 MB unpacked."""
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that mirrors offer under the same name."""

    name: str
    bytes: int
    """Size as published, gzipped: for the progress only, since a mirror may have compressed it again."""
    sha256: str
    """Of the contents, unpacked."""


class UnreachableError(DataError):
    """No mirror answered, or none delivered a whole file."""


class _WrongContentError(Exception):
    """The mirror has another file under this name."""


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
    """Write files for the next run. If that is impossible, a notice says so: a cache is a convenience."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_file(directory / name, data)
    except (OSError, StorageError) as error:
        reporter.notice(f"The data could not be cached for the next run: {error}.")


def fetch(
    files: Sequence[RemoteFile],
    mirrors: Sequence[str],
    reporter: Reporter,
    *,
    reach_timeout: float = REACH_TIMEOUT_S,
    read_timeout: float = READ_TIMEOUT_S,
    file_timeout: float = FILE_TIMEOUT_S,
) -> dict[str, bytes]:
    """Return the contents of `files` by name, as the mirrors have them, gzipped or not, at most `MAX_BYTES` each.

    `mirrors` are base URLs that end in a slash; the first to answer within `reach_timeout` seconds is asked first.

    Raises UnreachableError if the network or all mirrors fail, and DataError if a file has the wrong SHA-256 on every
    mirror that has it.
    """
    first = _first_to_answer(mirrors, files[0].name, reach_timeout)
    ordered = [first, *(mirror for mirror in mirrors if mirror != first)]
    contents: dict[str, bytes] = {}
    with reporter.task(f"Downloading from {_host(first)}", total=sum(file.bytes for file in files)) as task:
        for file in files:
            before = sum(map(len, contents.values()))

            def show(received: int, file: RemoteFile = file, before: int = before) -> None:
                words = f"{file.name} {received / 1e6:.1f} of {file.bytes / 1e6:.1f} MB"
                task.update(before + received, words)

            contents[file.name] = _fetch_file(file, ordered, (read_timeout, file_timeout), show)
    return contents


def _first_to_answer(mirrors: Sequence[str], name: str, timeout: float) -> str:
    """Return the mirror that answers first; all are asked at once, so that dead ones cost nothing."""
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def ask(mirror: str) -> None:
        try:
            with _open(mirror + name, timeout, "HEAD"):
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
    file: RemoteFile, mirrors: Sequence[str], timeouts: tuple[float, float], show: Callable[[int], None]
) -> bytes:
    """Return a file from the first mirror that has it whole."""
    failures: list[str] = []
    wrong: list[str] = []
    for mirror in [*mirrors] * ROUNDS:
        if _host(mirror) in wrong:
            continue
        try:
            return _get(mirror + file.name, file.sha256, timeouts, show)
        except _WrongContentError:
            wrong.append(_host(mirror))
        except _failures() as error:
            failures.append(_reason(error))
    if wrong:
        raise DataError(
            f"{file.name} from {' and '.join(wrong)} is not the published file: its SHA-256 differs",
            hint="Get the four files elsewhere, and name their directory with --data DIR.",
        )
    raise UnreachableError(f"{file.name} could not be downloaded ({_joined(failures)})")


def _get(url: str, sha256: str, timeouts: tuple[float, float], show: Callable[[int], None]) -> bytes:
    """Return a file. Raises _WrongContentError, or one of `_failures` if the connection ends early."""
    read_timeout, file_timeout = timeouts
    deadline = time.monotonic() + file_timeout
    data = bytearray()
    with _open(url, read_timeout) as response:
        length = response.headers.get("Content-Length")
        while chunk := response.read1(_CHUNK):
            data += chunk
            if len(data) > MAX_BYTES:
                raise _WrongContentError
            if time.monotonic() > deadline:
                raise TimeoutError
            show(len(data))
    if length is not None and len(data) < int(length):
        raise ConnectionError(f"the connection ended after {len(data):,} of {int(length):,} bytes")
    if content_sha256(data) != sha256:
        raise _WrongContentError
    return bytes(data)


def content_sha256(data: bytes | bytearray) -> str:
    """Return the SHA-256 of a file's contents, unpacked if they are gzipped.

    Empty if the gzip data is damaged or unpacks to more than `MAX_BYTES`.
    """
    import gzip
    import zlib

    digest, size = hashlib.sha256(), 0
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if data.startswith(GZIP_MAGIC) else io.BytesIO(data)
    try:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
            if size > MAX_BYTES:
                return ""
    except (OSError, EOFError, zlib.error):
        return ""
    return digest.hexdigest()


def _open(url: str, timeout: float, method: str = "GET") -> HTTPResponse:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    # Packed by us or not at all: a length that the server counts differently would look like a cut connection.
    headers = {"User-Agent": f"edgemnist/{__version__}", "Accept-Encoding": "identity"}
    request = Request(url, headers=headers, method=method)  # noqa: S310 - the URLs are those of `sources`
    try:
        response: HTTPResponse = urlopen(request, timeout=timeout)  # noqa: S310
    except HTTPError as error:
        # It holds the connection.
        error.close()
        raise
    return response


def _failures() -> tuple[type[Exception], ...]:
    """Return what urllib raises for anything that a network or a server can do."""
    from http.client import HTTPException

    return (OSError, HTTPException, ValueError)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return "timed out" if isinstance(reason, TimeoutError) else str(getattr(reason, "strerror", None) or reason)


def _joined(reasons: Sequence[str]) -> str:
    # Mirrors mostly fail for the same reason, which need be read only once.
    return "; ".join(dict.fromkeys(reasons))


def _host(mirror: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(mirror).netloc
