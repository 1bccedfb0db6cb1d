"""One process at a time may change the store. The kernel holds the lock, so a dead holder never blocks anybody."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Callable

from edgemnist.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S = 0.1


@contextlib.contextmanager
def exclusive(path: Path, *, wait_s: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock for as long as the body runs.

    Waits up to `wait_s` seconds for another holder, after telling `waiting` who that is; then raises DeployError.
    """
    deadline = time.monotonic() + wait_s
    told = False
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise DeployError(
                        f"Another deployment is at work on this board (process {_holder(path)})",
                        hint="Try again when it is done, or wait for it with a longer --wait.",
                    ) from None
                if not told:
                    waiting(f"waiting for another deployment (process {_holder(path)})")
                    told = True
                time.sleep(_POLL_S)
        # The kernel's lock counts, and a full disk has no room for a name.
        with contextlib.suppress(OSError):
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        # Children do not inherit the descriptor, so the lock ends with this process however that ends.
        yield


def holder(path: Path) -> str | None:
    """Return the process that holds the lock, or None where it is free."""
    try:
        with path.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _holder(path)
    return None


def _holder(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() or "unknown"
