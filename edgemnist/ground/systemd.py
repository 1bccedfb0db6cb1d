"""systemd units for what runs on a board for months, as text; the commands that are services describe themselves."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import edgemnist


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
    "CapabilityBoundingSet=", "AmbientCapabilities=", "ProtectClock=", "ProtectHostname=", "ProtectKernelLogs=",
    "ProtectKernelModules=", "ProtectProc=", "RemoveIPC=",
)  # fmt: skip
"""Not for a user's own manager, which has no power to grant them."""
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - nothing is written there
"""Where a confined service sees nothing but what it is shown."""


def service_unit(service: Unit) -> str:
    """Return the text of the `.service` unit."""
    unit = [f"Description={service.description}"]
    if service.network and service.user:
        unit += ["Wants=network-online.target", "After=network-online.target"]
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
        "MemoryMax=512M",
        "TasksMax=64",
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
    # A user's own manager is told through a socket in /run/user, which is hidden with the homes.
    told = ["BindReadOnlyPaths=%t/systemd/notify"] if service.notify and service.user is None else []
    lines.append("ProtectHome=tmpfs" if [*shown, *written, *told] else "ProtectHome=yes")
    lines += [f"BindReadOnlyPaths={quote(str(path))}" for path in shown] + told
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
