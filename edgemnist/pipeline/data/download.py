"""Downloading a data set of a few megabytes from mirrors, some of which may be dead, slow or wrong."""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from edgemnist import __version__
from edgemnist.errors import DataError
from edgemnist.ground.progress import Reporter
from edgemnist.pipeline.data.idx import GZIP_MAGIC

TIMEOUT_S: Final = 5.0
"""Time for a connection, and for each piece of a file after it."""
MAX_BYTES: Final = 64_000_000
"""Most bytes of a file, packed or unpacked: the largest has 47 MB unpacked."""
FAILURES: Final = (OSError, HTTPException, ValueError)
"""Everything that urllib raises when a network or a server fails."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that mirrors offer under the same name."""

    name: str
    bytes: int
    """Size as published, gzipped: for the progress only, since a mirror may have compressed it again."""
    sha256: str
    """Hash of the contents, unpacked."""


FILES = tuple(
    RemoteFile(f"{name}-ubyte.gz", size, sha256)
    for name, size, sha256 in (
        ("train-images-idx3", 9_912_422, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train-labels-idx1", 28_881, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        ("t10k-images-idx3", 1_648_877, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("t10k-labels-idx1", 4_542, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    )
)
"""The four of MNIST."""


class UnreachableError(DataError):
    """No mirror delivered a whole file."""


def fetch(
    files: Sequence[RemoteFile], mirrors: Sequence[str], reporter: Reporter, *, timeout: float = TIMEOUT_S
) -> dict[str, bytes]:
    """Return the contents of `files` by name, as the mirrors have them, gzipped or not, at most `MAX_BYTES` each.

    `mirrors` are base URLs that end in a slash, asked in turn until one has a file; for the next file, that one is
    asked first. Raises UnreachableError if the network or all mirrors fail, and DataError if a file has the wrong
    SHA-256 on every mirror that has it.
    """
    contents: dict[str, bytes] = {}
    ordered = list(mirrors)
    with reporter.task("Downloading", total=sum(file.bytes for file in files)) as task:
        for file in files:
            before = sum(map(len, contents.values()))

            def show(received: int, file: RemoteFile = file, before: int = before) -> None:
                task.update(before + received, f"{file.name} {received / 1e6:.1f} of {file.bytes / 1e6:.1f} MB")

            source, contents[file.name] = _fetch_file(file, ordered, timeout, show)
            ordered = [source, *(mirror for mirror in ordered if mirror != source)]
    return contents


def _fetch_file(
    file: RemoteFile, mirrors: Sequence[str], timeout: float, show: Callable[[int], None]
) -> tuple[str, bytes]:
    """Return the first mirror that has a file whole, and the file."""
    failures: list[str] = []
    wrong: list[str] = []
    for mirror in mirrors:
        try:
            data = _get(mirror + file.name, timeout, show)
        except FAILURES as error:
            failures.append(_reason(error))
            continue
        if content_sha256(data) == file.sha256:
            return mirror, data
        wrong.append(urlsplit(mirror).netloc)
    if wrong:
        raise DataError(
            f"{file.name} from {' and '.join(wrong)} is not the published file: its SHA-256 differs",
            hint="Get the four files elsewhere, and name their directory with --data DIR.",
        )
    # Mirrors mostly fail for the same reason, which need be read only once.
    raise UnreachableError(f"{file.name} could not be downloaded ({'; '.join(dict.fromkeys(failures))})")


def _get(url: str, timeout: float, show: Callable[[int], None]) -> bytes:
    """Return a file, at most `MAX_BYTES` of it. Raises one of FAILURES if the connection ends early or falls silent."""
    # Packed by us or not at all: a length that the server counts differently would look like a cut connection.
    headers = {"User-Agent": f"edgemnist/{__version__}", "Accept-Encoding": "identity"}
    data = bytearray()
    try:
        with urlopen(Request(url, headers=headers), timeout=timeout) as response:  # noqa: S310 - those of `sources`
            length = int(response.headers.get("Content-Length") or 0)
            while len(data) <= MAX_BYTES and (chunk := response.read1(1 << 16)):
                data += chunk
                show(len(data))
    except HTTPError as error:
        # It holds the connection.
        error.close()
        raise
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


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return "timed out" if isinstance(reason, TimeoutError) else str(getattr(reason, "strerror", None) or reason)
