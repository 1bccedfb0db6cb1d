"""The two agreements with systemd that a service needs: a socket that is handed over, and a word when it is ready."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

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


def tell_systemd(state: str) -> None:
    """Send a word such as `READY=1`, see sd_notify(3); do nothing where nobody waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        messenger.connect("\0" + address[1:] if address.startswith("@") else address)
        messenger.sendall(state.encode())
