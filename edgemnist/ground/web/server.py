"""Where a service listens, or the socket that systemd hands over, and where clients find it."""

import contextlib
import errno
import ipaddress
import os
import socket
from typing import Final

from edgemnist.errors import UsageError
from edgemnist.ground.registry import Entry, Package
from edgemnist.ground.web.config import is_loopback

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
