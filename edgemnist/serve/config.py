"""How the service is run: where it listens, who may ask, and how much."""

from __future__ import annotations

import ipaddress
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgemnist.errors import UsageError, check_range
from edgemnist.progress import SILENT, Reporter

if TYPE_CHECKING:
    from edgemnist.samples.collector import CollectConfig

DEFAULT_PORT: Final = 8000
"""Where `edgemnist deploy` looks for a healthy service."""
LOCALHOST: Final = ("localhost", "127.0.0.1", "[::1]")
BACKLOG: Final = 512
"""Connections that wait to be accepted."""
MIN_TOKEN: Final = 16
"""Characters: 16 hexadecimal digits are 64 bits, which nobody guesses at the rate that is allowed here."""
MIN_DIFFERENT: Final = 5
"""Different characters: of random tokens, one in two million has fewer."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request, one client and all of them together may take. Raises UsageError for a limit that is too low."""

    max_bytes: int = 16 * 2**20
    """Of a request's body: more than a phone's photograph has."""
    max_held_bytes: int = 32 * 2**20
    """Of all bodies in memory at once."""
    max_pixels: int = 2**25
    """Of all pictures of a request: 33 megapixels, which take 100 MB as RGB."""
    max_images: int = 256
    """Of a batch."""
    rate: float = 100.0
    """Requests a second of one client, and twice as many at once; 0 for no limit."""
    concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Large pictures that are worked on at the same time."""
    waiting: int = 16
    """Large pictures that may wait for that."""
    work_timeout_s: float = 10.0
    """Of the processor, for decoding and reading the pictures of a request."""
    max_connections: int = 512
    max_connections_of_client: int = 128
    """A quarter, so that one client cannot keep the others out; a reverse proxy is one client, too."""
    max_pipelined: int = 16
    """Requests of a connection that are sent before the one before them is answered; browsers send none."""
    header_timeout_s: float = 5.0
    """From the first byte of a request, or from the connection on, to the end of its header."""
    stall_timeout_s: float = 5.0
    """Without a byte of the body."""
    body_timeout_s: float = 60.0
    """For the whole body: 16 MB at 2 Mbit/s."""
    keep_alive_s: float = 15.0
    """Between two requests of a connection."""
    drain_s: float = 10.0
    """For the requests that are under way when the service is stopped."""

    def __post_init__(self) -> None:
        for name, least in (("max_bytes", 1024), ("max_pixels", 784), ("concurrency", 1), ("rate", 0)):
            check_range("--" + name.replace("_", "-"), getattr(self, name), least=least)

    @property
    def decoded_bytes(self) -> int:
        """Return how much memory pictures may take at once while they are decoded.

        It is enough for one in colour that has all the pixels, and its copy.
        """
        return 8 * self.max_pixels


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Options of the service. Raises UsageError for those that cannot be combined."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 for any free one."""
    token: str | None = None
    """What clients have to send as `Authorization: Bearer TOKEN`."""
    names: tuple[str, ...] = ()
    """Host names, beside the loopback ones, by which a service without a token may be asked."""
    artifact: str | None = None
    """Name or model file; the fastest verified one by default."""
    threads: int = 1
    collect: CollectConfig | None = None
    """Where samples and corrections are kept; None for nowhere."""
    health: Path | None = None
    """The file in which answers are counted; None for none."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        check_range("--port", self.port, least=0, most=65_535)
        if self.token is not None:
            check_token(self.token)
        self.require_token(self.host)

    def require_token(self, address: str) -> None:
        """Raise UsageError where others can reach an address, and no token keeps strangers out."""
        if self.token is None and not is_loopback(address):
            raise UsageError(
                f"Other machines can reach {address}, so the service needs a token",
                hint="Add --token-file FILE, or --token with the output of: openssl rand -hex 16",
            )

    @property
    def hosts(self) -> frozenset[str] | None:
        """Return the names that the `Host` header may have, or None for any.

        Without a token, it is all that keeps out a web page whose host name leads to this address (DNS rebinding).
        """
        return None if self.token is not None else frozenset((*LOCALHOST, self.host, *self.names))


def is_loopback(host: str) -> bool:
    """Return whether only this machine itself can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> None:
    """Raise UsageError for a token that can be guessed, or that a header cannot carry."""
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        problem = f"must have at least {MIN_TOKEN} ASCII characters and no spaces"
    elif len(set(token)) < MIN_DIFFERENT:
        problem = f"must have at least {MIN_DIFFERENT} different characters"
    else:
        return
    raise UsageError(f"The token {problem}", hint="Make one with: openssl rand -hex 16")


def read_token(token: str | None, file: Path | None, reporter: Reporter = SILENT) -> str | None:
    """Return the first line of `file` where one was named, else `token`.

    Tells where other users can read the file. Raises UsageError where it cannot be read.
    """
    if file is None:
        return token
    try:
        text = file.read_text(encoding="utf-8")
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"The token file {file} cannot be read: {reason}", hint=f"Make it with: openssl rand -hex 16 > {file}"
        ) from error
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        reporter.notice(f"Other users can read the token in {file}. Fix that with: chmod 600 {file}")
    return text.strip().partition("\n")[0].strip()


def unit_token(token: str | None, file: Path | None) -> str | None:
    """Return a stand-in for the token, which systemd reads later, and perhaps only root may read now.

    Raises UsageError for a token that would have to stand in the unit, where everybody can read it.
    """
    if file is None and token is not None:
        raise UsageError(
            "A token must not be written into a unit: everybody on the machine can read it",
            hint="Put it into a file that only root can read, and name that with --token-file.",
        )
    return None if file is None else "0123456789abcdef"
