"""Opening the service: its socket, or the one that systemd hands over, its models, and where it is found."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgemnist.errors import EXIT_INTERRUPTED, UsageError
from edgemnist.progress import SILENT, Reporter
from edgemnist.registry import Entry, Package
from edgemnist.results.pictures import ServeResult
from edgemnist.serve.config import BACKLOG, Limits, ServeConfig, is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from edgemnist.exports import Exports


OUTSIDE: Final = ("192.0.2.1", 9)
"""An address of documentation (RFC 5737), which nobody has."""
OTHER_FILES: Final = 64
"""What the service has open beside connections and bodies: models, pipes, its record."""
FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START, see sd_listen_fds(3)."""


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


SERVER: Final = Entry(
    target="edgemnist.serve.server:make_app",
    summary="The service",
    requires=(
        Package("starlette", "starlette"),
        Package("uvicorn", "uvicorn"),
        Package("httptools", "httptools"),
        Package("prometheus-client", "prometheus_client"),
    ),
    extra="serve",
)
SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread may keep the interpreter to itself: with Python's 5 ms, one large picture would hold up the small
ones, which take a fraction of that."""


@dataclass(frozen=True)
class DigitService:
    """The service with its socket and its artifacts, before it answers."""

    app: ASGIApp
    close: Callable[[], bool]
    """Ends its threads, and tells whether they have ended."""
    limits: Limits
    listener: socket.socket
    result: ServeResult

    def run(self, started: Callable[[ServeResult], None]) -> None:
        """Answer until SIGTERM, and end what is under way; `started` is called when the first can be answered.

        Ends the process where work does not end in time. Raises KeyboardInterrupt where it was SIGINT.
        """
        from edgemnist.serve.server import run_server

        sys.setswitchinterval(SWITCH_INTERVAL_S)
        allow_files(self.limits)
        try:
            interrupted = run_server(self.app, self.limits, self.listener, lambda: started(self.result))
        finally:
            self.listener.close()
            ended = self.close()
        if not ended:
            # A thread that loads a model cannot be stopped, and nobody waits for its answer any more.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(EXIT_INTERRUPTED if interrupted else 0)
        if interrupted:
            raise KeyboardInterrupt


def allow_files(limits: Limits) -> None:
    """Let this process open a connection and a body for each client; many systems allow 1,024 files or 256 at first."""
    import resource

    wanted = 2 * limits.max_connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_service(exports: Exports | None, config: ServeConfig, reporter: Reporter = SILENT) -> DigitService:
    """Open the socket, or take over systemd's, and load what answers where no artifact is named.

    `exports` is None where a model file answers alone.

    Raises MissingDependencyError where a package is missing, ManifestError and ArtifactError where the artifacts cannot
    be used, and UsageError where the address cannot be listened on.
    """
    make_app = SERVER.load()
    from edgemnist.serve.models import ModelStore

    listener = inherited_socket() or listen(config.host, config.port)
    try:
        # Whoever wrote the `.socket` unit may have chosen another address than --host.
        config.require_token(listener.getsockname()[0])
        store = ModelStore(exports, config.artifact, threads=config.threads, reporter=reporter)
        app, close = make_app(store, config)
    except BaseException:
        listener.close()
        raise
    result = ServeResult(
        url=url_of(listener),
        artifact=store.default,
        release=store.release,
        token=config.token is not None,
        address=network_address(listener),
    )
    return DigitService(app, close, config.limits, listener, result)


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
