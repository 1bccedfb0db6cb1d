"""A systemd unit for a command that runs for as long as the board does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

HARDENING: Final = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "ProtectProc=invisible",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "LockPersonality=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
)
"""What a process that reads files, answers and writes nothing does not need, each taken away (systemd.exec(5))."""

MEMORY_MAX: Final = "512M"
"""A page of 67 megapixels fits; a leak does not take the board down."""


def unit(
    description: str,
    command: Sequence[str],
    *,
    user: str,
    directory: str,
    network: bool,
    devices: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> str:
    """Return the text of a system unit that runs `command`, whose first word is an absolute path, as `user`.

    `directory` is the working directory. `network` allows IP sockets; `devices` are paths or classes of devices for
    DeviceAllow, such as `char-video4linux`, and `groups` those that may open them. Without devices there are none.
    """
    access = [f"DeviceAllow={device} rw" for device in devices]
    lines = [
        "[Unit]",
        f"Description={_plain(description)}",
        *(["Wants=network-online.target", "After=network-online.target"] if network else []),
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_word(word) for word in command)}",
        f"User={user}",
        f"WorkingDirectory={_plain(directory)}",
        *([f"SupplementaryGroups={' '.join(groups)}"] if groups else []),
        "Environment=PYTHONUNBUFFERED=1",
        "Restart=on-failure",
        "RestartSec=2",
        "TimeoutStopSec=10",
        f"MemoryMax={MEMORY_MAX}",
        *HARDENING,
        f"RestrictAddressFamilies=AF_UNIX{' AF_INET AF_INET6' if network else ''}",
        *(["DevicePolicy=closed", *access] if devices else ["PrivateDevices=yes"]),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _word(word: str) -> str:
    """Return one word of a command line as systemd.service(5) reads it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("\n", "\\n")
    return f'"{_plain(escaped)}"' if not word or set(word) & set(" \t\n\"'\\;") else _plain(escaped)


def _plain(text: str) -> str:
    """Return text in which `%` stands for itself."""
    return text.replace("%", "%%")
