"""Where a service listens, who may ask, and how much."""

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgemnist.errors import UsageError, check_range
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.registry import Entry, Package

LOCALHOST: Final = ("localhost", "127.0.0.1", "[::1]")
MIN_TOKEN: Final = 16
"""Characters: 16 hexadecimal ones are 64 bits, which nobody guesses at the rate that is allowed here."""
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
    # Who may read its credentials, systemd sees to: the group is the service's own.
    is_credential = os.environ.get("CREDENTIALS_DIRECTORY") == str(file.parent)
    if mode & (stat.S_IRGRP | stat.S_IROTH) and not is_credential:
        reporter.notice(f"Other users can read the token in {file}. Fix that with: chmod 600 {file}")
    return text.strip().partition("\n")[0].strip()


BACKLOG: Final = 512
"""Connections that wait to be accepted."""
OUTSIDE: Final = ("192.0.2.1", 9)
"""An address of documentation (RFC 5737), which nobody has."""
FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START, see sd_listen_fds(3)."""
SERVER: Final = Entry(
    target="edgemnist.ground.web.protocol:run_server",
    summary="The service",
    requires=(
        Package("starlette", "starlette"),
        Package("uvicorn", "uvicorn"),
        Package("httptools", "httptools"),
        Package("prometheus-client", "prometheus_client"),
    ),
    extra="serve",
)
"""Runs an application; see `protocol.run_server`."""


def inherited_socket() -> socket.socket | None:
    """Return the listening socket that a `.socket` unit handed over, or None.

    It stays open while the service restarts, so that whoever asks meanwhile waits for an answer and gets it.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    # No program that is started from here shall take it for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    os.set_inheritable(FIRST_DESCRIPTOR, False)  # noqa: FBT003 - takes it by position only
    return socket.socket(fileno=FIRST_DESCRIPTOR)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, on any free port for 0. Raises UsageError where that is impossible."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        # Python adds its own words to those of the system, whose numbers are above 0; those of names are below.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise UsageError(
            f"The service cannot listen on {host}:{port}: {reason}",
            hint="Choose another port with --port; 0 takes any free one."
            if error.errno in {errno.EADDRINUSE, errno.EACCES}
            else "Name an address of this machine with --host.",
        ) from error


def url_of(listener: socket.socket, host: str = "") -> str:
    """Return where a socket is found, under `host` if it is given."""
    bound, port = listener.getsockname()[:2]
    host = host or bound
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def network_address(listener: socket.socket) -> str | None:
    """Return where other devices find the service: for an address that stands for all, the one that leads outside."""
    bound = listener.getsockname()[0]
    if is_loopback(bound):
        return None
    if not ipaddress.ip_address(bound.partition("%")[0]).is_unspecified:
        return url_of(listener)
    try:
        # Connecting a datagram socket sends nothing: it asks which way a packet would leave.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(OUTSIDE)
            return url_of(listener, probe.getsockname()[0])
    except OSError:
        return None


def tell_systemd(state: str) -> None:
    """Send a word such as `READY=1`, see sd_notify(3); do nothing where nobody waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        messenger.connect("\0" + address[1:] if address.startswith("@") else address)
        messenger.sendall(state.encode())
