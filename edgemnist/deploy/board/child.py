"""Waiting for a process that leads a session of its own, and ending it with all that it has started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading

_GRACE_S = 5
_STDOUT = 1


def finish(child: subprocess.Popen[bytes], timeout_s: float | None = None) -> tuple[bytes, bytes]:
    """Return what a child says until its end; it does not outlive this call, whatever ends that.

    Raises subprocess.TimeoutExpired.
    """
    with child:
        try:
            return child.communicate(timeout=timeout_s)
        finally:
            _signal(child, signal.SIGKILL)


def end_with_the_line(child: subprocess.Popen[bytes]) -> None:
    """End a child as soon as nobody listens to this process any more; returns at once.

    Without a terminal, sshd tells a process by nothing else that the other side went away.
    """
    threading.Thread(target=_watch, args=(child,), daemon=True).start()


def _watch(child: subprocess.Popen[bytes]) -> None:
    line = select.poll()
    # No event is waited for but those that are always told: the other end is gone.
    line.register(_STDOUT, 0)
    line.poll()
    # What is interrupted removes its temporary files.
    _signal(child, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_S)
    _signal(child, signal.SIGKILL)


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
