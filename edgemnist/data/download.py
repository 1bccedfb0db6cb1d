"""Downloading a data set of a few megabytes from mirrors, some of which may be dead, slow or wrong."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from edgemnist import __version__
from edgemnist.data.idx import GZIP_MAGIC
from edgemnist.errors import DataError
from edgemnist.progress import Reporter

REACH_TIMEOUT_S: Final = 4.0
"""Time for the first answer of any mirror: a missing network is noticed within 5 s, name resolution included."""
READ_TIMEOUT_S: Final = 10.0
"""Time for a connection, and for each piece of a file after it."""
FILE_TIMEOUT_S: Final = 600.0
"""Time for a whole file, so that a mirror that sends a byte now and then is given up."""
ROUNDS: Final = 2
"""Rounds over all mirrors for a file: a connection that was cut often works the second time."""
MAX_BYTES: Final = 64_000_000
"""Most bytes of a file, packed or unpacked: the largest has 47 MB unpacked."""
FAILURES: Final = (OSError, HTTPException, ValueError)
"""Everything that urllib raises when a network or a server fails."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that mirrors offer under the same name."""

    name: str
    bytes: int
    """Size as published, gzipped: for the progress only, since a mirror may have compressed it again."""
    sha256: str
    """Hash of the contents, unpacked."""


FILES = (
    RemoteFile(
        name="train-images-idx3-ubyte.gz",
        bytes=9_912_422,
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    RemoteFile(
        name="train-labels-idx1-ubyte.gz",
        bytes=28_881,
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    RemoteFile(
        name="t10k-images-idx3-ubyte.gz",
        bytes=1_648_877,
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    RemoteFile(
        name="t10k-labels-idx1-ubyte.gz",
        bytes=4_542,
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
"""The four of MNIST."""


class UnreachableError(DataError):
    """No mirror answered, or none delivered a whole file."""


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
    ordered = sorted(mirrors, key=lambda mirror: mirror != first)
    contents: dict[str, bytes] = {}
    with reporter.task(f"Downloading from {urlsplit(first).netloc}", total=sum(file.bytes for file in files)) as task:
        for file in files:
            before = sum(map(len, contents.values()))

            def show(received: int, file: RemoteFile = file, before: int = before) -> None:
                task.update(before + received, f"{file.name} {received / 1e6:.1f} of {file.bytes / 1e6:.1f} MB")

            contents[file.name] = _fetch_file(file, ordered, (read_timeout, file_timeout), show)
    return contents


def _first_to_answer(mirrors: Sequence[str], name: str, timeout: float) -> str:
    """Return the mirror that answers first; all are asked at once, so that dead ones cost nothing."""
    answers: queue.SimpleQueue[tuple[str, Exception | None]] = queue.SimpleQueue()

    def ask(mirror: str) -> None:
        try:
            with _open(mirror + name, timeout, "HEAD"):
                answers.put((mirror, None))
        except FAILURES as error:
            answers.put((mirror, error))

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
        if failure is None:
            return mirror
        reasons.append(_reason(failure))
    raise UnreachableError(f"No mirror can be reached ({_joined(reasons) or 'none is known'})")


def _fetch_file(
    file: RemoteFile, mirrors: Sequence[str], timeouts: tuple[float, float], show: Callable[[int], None]
) -> bytes:
    """Return a file from the first mirror that has it whole."""
    failures: list[str] = []
    wrong: list[str] = []
    for mirror in [*mirrors] * ROUNDS:
        if mirror in wrong:
            continue
        try:
            data = _get(mirror + file.name, *timeouts, show)
        except FAILURES as error:
            failures.append(_reason(error))
            continue
        if content_sha256(data) == file.sha256:
            return data
        wrong.append(mirror)
    if wrong:
        hosts = " and ".join(urlsplit(mirror).netloc for mirror in wrong)
        raise DataError(
            f"{file.name} from {hosts} is not the published file: its SHA-256 differs",
            hint="Get the four files elsewhere, and name their directory with --data DIR.",
        )
    raise UnreachableError(f"{file.name} could not be downloaded ({_joined(failures)})")


def _get(url: str, read_timeout: float, file_timeout: float, show: Callable[[int], None]) -> bytes:
    """Return a file, at most `MAX_BYTES` of it. Raises one of FAILURES if the connection ends early or is too slow."""
    deadline = time.monotonic() + file_timeout
    data = bytearray()
    with _open(url, read_timeout) as response:
        length = int(response.headers.get("Content-Length") or 0)
        while len(data) <= MAX_BYTES and (chunk := response.read1(1 << 16)):
            data += chunk
            if time.monotonic() > deadline:
                raise TimeoutError
            show(len(data))
    if len(data) < min(length, MAX_BYTES):
        raise ConnectionError(f"the connection ended after {len(data):,} of {length:,} bytes")
    return bytes(data)


def content_sha256(data: bytes) -> str:
    """Return the SHA-256 of a file's contents, unpacked if they are gzipped.

    Empty if the gzip data is damaged or unpacks to more than `MAX_BYTES`.
    """
    if data.startswith(GZIP_MAGIC):
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            data = stream.decompress(data, MAX_BYTES)
        except zlib.error:
            return ""
        if not stream.eof:
            return ""
    return hashlib.sha256(data).hexdigest()


def _open(url: str, timeout: float, method: str = "GET") -> HTTPResponse:
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


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return "timed out" if isinstance(reason, TimeoutError) else str(getattr(reason, "strerror", None) or reason)


def _joined(reasons: Sequence[str]) -> str:
    # Mirrors mostly fail for the same reason, which need be read only once.
    return "; ".join(dict.fromkeys(reasons))
