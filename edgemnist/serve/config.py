"""How the service is run: where it listens, who may ask, and how much."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import Final

from edgemnist.errors import UsageError

DEFAULT_PORT: Final = 8000
"""Where `edgemnist deploy` looks for a healthy service."""
LOCALHOST: Final = ("localhost", "127.0.0.1", "[::1]")
BACKLOG: Final = 512
"""Connections that wait to be accepted."""
MIN_TOKEN: Final = 16
"""Characters: 16 hexadecimal digits are 64 bits, which nobody guesses at the rate that is allowed here."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request, one client and all of them together may take. Raises UsageError for what makes no sense."""

    max_bytes: int = 16 * 2**20
    """Of a request's body: more than a phone's photograph has."""
    max_held_bytes: int = 64 * 2**20
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
    max_connections: int = 512
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
            # In this way round, it is also told of what is not a number.
            if not getattr(self, name) >= least:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} {getattr(self, name)} is too small", hint=f"Give at least {least}.")

    @property
    def decoded_bytes(self) -> int:
        """Return how much memory pictures may take at once while they are decoded.

        It is enough for one in colour that has all the pixels, and its copy. The default is half of what the systemd
        unit allows the service.
        """
        return max(2**28, 8 * self.max_pixels)


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Options of the service. Raises UsageError for those that make no sense together."""

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
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004 - 16 bits
            raise UsageError(f"--port {self.port} is no port", hint="Give a number from 1 to 65535, or 0 for any.")
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isascii() or " " in self.token):
            raise UsageError(
                f"The token is not {MIN_TOKEN} or more ASCII characters without blanks",
                hint="Make one with: openssl rand -hex 16",
            )
        self.require_token(self.host)

    def require_token(self, address: str) -> None:
        """Raise UsageError where others can reach an address, and no token keeps strangers out."""
        if self.token is None and not is_loopback(address):
            raise UsageError(
                f"{address} lets other machines in, and there is no token to keep strangers out",
                hint="Add --token-file FILE, or --token with the output of: openssl rand -hex 16",
            )

    @property
    def hosts(self) -> frozenset[str] | None:
        """Return the names that the `Host` header may have, or None for any.

        Without a token it is all that keeps a page of the web, whose name was made to lead here, from asking.
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
