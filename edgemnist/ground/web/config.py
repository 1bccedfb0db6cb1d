"""Where a service listens, who may ask, and how much."""

import ipaddress
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgemnist.errors import UsageError, check_range
from edgemnist.ground.progress import SILENT, Reporter

LOCALHOST: Final = ("localhost", "127.0.0.1", "[::1]")
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
    rate: float = 100.0
    """Requests a second of one client, and twice as many at once; 0 for no limit."""
    max_connections: int = 512
    max_connections_of_client: int = 128
    """A quarter, so that one client cannot keep the others out; a reverse proxy is one client, too."""
    header_timeout_s: float = 5.0
    """For a request's header to arrive; three times as long, for a client to take any of its answer."""
    body_timeout_s: float = 60.0
    """For the whole body: 16 MB at 2 Mbit/s."""
    drain_s: float = 10.0
    """For the requests that are under way when the service is stopped."""

    def __post_init__(self) -> None:
        check_range("--max-bytes", self.max_bytes, least=1024)
        check_range("--rate", self.rate, least=0)


@dataclass(frozen=True, kw_only=True)
class SiteConfig:
    """Options of a service. Raises UsageError for those that cannot be combined."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any free one. `edgemnist deploy` looks for a healthy service at the default."""
    token: str | None = None
    """What clients have to send as `Authorization: Bearer TOKEN`."""
    names: tuple[str, ...] = ()
    """Host names, beside the loopback ones, by which a service without a token may be asked."""
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

    Warns if other users can read the file. Raises UsageError if it cannot be read.
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
