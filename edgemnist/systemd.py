"""systemd units for what runs on a board for months: as text, for `serve` and for `watch`."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import edgemnist
from edgemnist.drift import kept_words
from edgemnist.errors import UsageError
from edgemnist.exports.models import absolute_name
from edgemnist.watch.sources import CREDENTIALS, PICAMERA, URL

if TYPE_CHECKING:
    from edgemnist.serve.config import ServeConfig


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A command that systemd is to keep running. It reads some directories, and writes to those that it is given."""

    name: str
    """Of the unit, without `.service`."""
    description: str
    command: Sequence[str]
    """Program, by its absolute path, and arguments; `%d` stands for the directory of the credentials."""
    reads: Sequence[PurePosixPath] = ()
    """Directories it reads, wherever they are; of the homes it sees nothing else."""
    writes: Sequence[PurePosixPath] = ()
    """Directories it writes to, which must exist when it starts."""
    user: str | None = None
    """Who it runs as in a unit of the system; None for a unit of the user's own manager."""
    notify: bool = False
    """Whether it tells when it is ready, see sd_notify(3)."""
    listens: str | None = None
    """`address:port` of a `.socket` unit that hands its socket over; None for a service that opens none."""
    network: bool = True
    """Whether it talks to other machines, or to this one by IP."""
    devices: Sequence[str] = ()
    """Device nodes or classes that it opens, such as `char-video4linux`; without any, it sees none."""
    groups: Sequence[str] = ()
    """Groups that may open them, such as `video`."""
    credentials: Sequence[tuple[str, PurePosixPath]] = ()
    """Secrets by name, and the files that root keeps them in."""
    memory_max: str = "512M"
    nice: int = 0
    """Of the scheduler: positive for what gives way to everything else."""


HARDENING: Final = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectProc=invisible",
    "PrivateTmp=yes",
    "PrivateIPC=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
)
"""What systemd.exec(5) offers and a classifier can do without. Not MemoryDenyWriteExecute: LiteRT's kernels are
generated at run time. Not ProcSubset: they ask /proc/cpuinfo what the processor can do."""
_SYSTEM_ONLY: Final = (
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectClock=",
    "ProtectHostname=",
    "ProtectKernelLogs=",
    "ProtectKernelModules=",
    "ProtectProc=",
    "RemoveIPC=",
)
"""Not for a user's own manager, which has no power to grant them."""
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - nothing is written there
"""Where a confined service sees nothing but what it is shown."""


def service_unit(service: Unit) -> str:
    """Return the text of the `.service` unit."""
    unit = [f"Description={service.description}"]
    if service.network:
        unit += ["Wants=network-online.target", "After=network-online.target"] if service.user else []
    if service.listens:
        unit += [f"Requires={service.name}.socket", f"After={service.name}.socket"]
    body = [
        f"Type={'notify' if service.notify else 'exec'}",
        f"ExecStart={' '.join(quote(word) for word in service.command)}",
        *([f"User={service.user}"] if service.user else []),
        *([f"SupplementaryGroups={' '.join(service.groups)}"] if service.groups else []),
        *(f"LoadCredential={name}:{path}" for name, path in service.credentials),
        "Restart=on-failure",
        "RestartSec=1",
        "TimeoutStopSec=20",
        "KillSignal=SIGTERM",
        # Each thread's own heap keeps what it once had: two are enough where only pictures are large.
        "Environment=PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2",
        f"MemoryMax={service.memory_max}",
        "TasksMax=64",
        *([f"Nice={service.nice}"] if service.nice else []),
    ]
    target = "multi-user.target" if service.user else "default.target"
    sections = [("Unit", unit), ("Service", [*body, "", *_confinement(service)]), ("Install", [f"WantedBy={target}"])]
    return _text(sections)


def socket_unit(service: Unit) -> str:
    """Return the text of the `.socket` unit that listens for a service, also while that restarts."""
    if service.listens is None:
        raise ValueError(f"{service.name} listens nowhere")
    return _text([
        ("Unit", [f"Description=Socket of {service.name}"]),
        ("Socket", [f"ListenStream={service.listens}", "Backlog=512", "NoDelay=yes"]),
        ("Install", ["WantedBy=sockets.target"]),
    ])  # fmt: skip


def _confinement(service: Unit) -> list[str]:
    lines = list(HARDENING)
    if service.user is None:
        # The other namespaces of a user's manager need this one.
        lines = ["PrivateUsers=yes", *(line for line in lines if not line.startswith(_SYSTEM_ONLY))]
    if service.devices:
        lines += ["DevicePolicy=closed", *(f"DeviceAllow={device} rw" for device in service.devices)]
    else:
        lines += ["PrivateDevices=yes"]
    families = "AF_UNIX AF_INET AF_INET6" if service.network else "AF_UNIX"
    lines += [f"RestrictAddressFamilies={families}", *([] if service.network else ["PrivateNetwork=yes"])]
    shown = [path for path in service.reads if str(path).startswith(_HIDDEN)]
    written = [path for path in service.writes if str(path).startswith(_HIDDEN)]
    lines.append("ProtectHome=tmpfs" if [*shown, *written] else "ProtectHome=yes")
    lines += [f"BindReadOnlyPaths={quote(str(path))}" for path in shown]
    lines += [f"BindPaths={quote(str(path))}" for path in written]
    lines += [f"ReadWritePaths={quote(str(path))}" for path in service.writes]
    return lines


def _text(sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    return "\n".join("\n".join([f"[{name}]", *lines, ""]) for name, lines in sections)


def python_for(exports: Path) -> Path:
    """Return the Python that runs a service: of a release, its own, whichever that will be one day."""
    for parent in exports.absolute().parents:
        python = parent / "venv" / "bin" / "python"
        if parent.name == "current" and python.exists():
            return python
    return Path(sys.executable).absolute()


def shown(*paths: Path) -> list[PurePosixPath]:
    """Return what to show a service: this environment, and `paths`; none of them lies within another.

    Of a release it is the store, since `current` leads elsewhere after each deployment. The interpreter that a virtual
    environment was made with may be in a home as well.
    """
    environment = [Path(sys.prefix), Path(sys.base_prefix), Path(edgemnist.__file__).parents[1]]
    unique = sorted({PurePosixPath(_root(path)) for path in (*environment, *paths)})
    return [path for path in unique if not any(path != other and path.is_relative_to(other) for other in unique)]


def _root(path: Path) -> Path:
    for parent in (path, *path.parents):
        if parent.name == "current" and parent.is_symlink():
            return parent.parent.absolute()
    return path.absolute()


def quote(word: str) -> str:
    """Return a word of a command line as systemd.syntax(7) reads it; `%d` keeps its meaning, other `%` lose theirs."""
    escaped = re.sub(r"%(?!d\b)", "%%", word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$"))
    escaped = escaped.replace("\n", "\\n")
    return f'"{escaped}"' if not escaped or re.search(r"[\s;'\"]", escaped) else escaped


TOKEN_CREDENTIAL = "token"  # noqa: S105 - the name of the secret


def describe_service(
    exports: Path, config: ServeConfig, *, token_file: Path | None, user_unit: bool, options: Sequence[str]
) -> Unit:
    """Return the service that runs this command, from this environment, with `options` beside host and directory."""
    # Windows has none.
    import pwd

    # Not resolved: where it leads through `current`, the unit outlives the release.
    exports = exports.absolute()
    command = [str(python_for(exports)), "-I", "-m", "edgemnist", "serve", "--exports", str(exports)]
    command += ["--host", config.host, "--port", str(config.port), *options]
    name, model = absolute_name(config.artifact)
    command += [] if name is None else ["--artifact", name]
    kept, writes = kept_words(None if config.collect is None else config.collect.directory, config.health)
    command += kept
    credentials: list[tuple[str, PurePosixPath]] = []
    if token_file is not None:
        command += ["--token-file", f"%d/{TOKEN_CREDENTIAL}"]
        credentials.append((TOKEN_CREDENTIAL, PurePosixPath(token_file.absolute())))
    return Unit(
        name="edgemnist",
        description="edgemnist: reads handwritten digits",
        command=command,
        reads=shown(exports, *([] if model is None else [model])),
        writes=writes,
        user=None if user_unit else pwd.getpwuid(os.getuid()).pw_name,
        notify=True,
        listens=f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}",
        credentials=credentials,
    )


SOURCE_CREDENTIAL: Final = "source"


def watch_unit(
    source: str | Path,
    options: Sequence[str],
    *,
    exports: Path,
    artifact: str | None = None,
    collect: Path | None = None,
    health: Path | None = None,
) -> str:
    """Return the unit that runs `edgemnist watch` on a source, as the present user.

    A `Path` is a file that keeps a URL: systemd reads it later, and perhaps only root may read it now. `exports` is
    where the artifacts are, and `artifact` the model that answers, where one was named. `collect` and `health` are what
    it writes.

    Raises UsageError for a URL with a password, which would have to stand in the unit, where everybody can read it.
    """
    is_stream = isinstance(source, Path) or bool(URL.match(source))
    devices = _devices(source)
    named, reads = _named(source)
    words = [*named, *options, "--exports", str(exports.absolute())]
    name, model = absolute_name(artifact)
    words += [] if name is None else ["--artifact", name]
    kept, writes = kept_words(collect, health)
    return service_unit(
        Unit(
            name="edgemnist-watch",
            description=f"edgemnist watch {'a stream' if is_stream else source}",
            command=[str(python_for(exports)), "-I", "-m", "edgemnist", "watch", *words, *kept],
            reads=shown(exports, *reads, *([] if model is None else [model])),
            writes=writes,
            user=getpass.getuser(),
            network=is_stream,
            devices=devices,
            groups=("video",) if devices else (),
            credentials=[(SOURCE_CREDENTIAL, PurePosixPath(source.absolute()))] if isinstance(source, Path) else [],
        )
    )


def _named(source: str | Path) -> tuple[list[str], list[Path]]:
    """Return the words that name the source, and where it is."""
    if isinstance(source, Path):
        return ["--source-file", f"%d/{SOURCE_CREDENTIAL}"], []
    if CREDENTIALS.search(source):
        raise UsageError(
            "A password in a URL must not be written into a unit: everybody on the machine can read it",
            hint="Put the URL into a file that only root can read, and name that with --source-file.",
        )
    path = Path(source)
    return ([str(path.absolute())], [path]) if path.exists() else ([source], [])


def _devices(source: str | Path) -> tuple[str, ...]:
    """Return the devices that a camera is: libcamera speaks to the sensor, the image processor and their memory."""
    if source == PICAMERA:
        return "char-video4linux", "char-media", "char-dma_heap"
    is_camera = isinstance(source, str) and (source.isdecimal() or source.startswith("/dev/"))
    return ("char-video4linux",) if is_camera else ()
