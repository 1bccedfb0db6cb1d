"""Waiting for a process that leads a session of its own, and ending it with all that it has started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from edgemnist.errors import GateMissedError

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.agent.request import SelfTestLimits


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


def run_selftest(release: Path, limits: SelfTestLimits) -> dict[str, Any]:
    """Return the report of `python -m edgemnist.selftest`.

    Raises GateMissedError where the release is not fit to serve, or the test crashes or hangs.
    """
    # -I: what is tested is the release, whatever the environment of the login says.
    command = [str(release / "venv" / "bin" / "python"), "-I", "-m", "edgemnist.selftest", str(release / "exports")]
    if limits.max_p99_us is not None:
        command += ["--max-p99-us", str(limits.max_p99_us)]
    if limits.max_rss_mb is not None:
        command += ["--max-rss-mb", str(limits.max_rss_mb)]
    # As long as this end of the pipe is open the child knows that this process lives; it ends with it.
    life, ours = os.pipe()
    try:
        child = subprocess.Popen(
            command, stdin=life, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        os.close(life)
        output, errors = finish(child, limits.timeout_s)
    except subprocess.TimeoutExpired:
        raise GateMissedError(
            f"The self-test hung: it did not end within {limits.timeout_s:g} s",
            hint="Look at the board with: edgemnist doctor --on HOST",
        ) from None
    finally:
        os.close(ours)
    try:
        report = json.loads(output)
    except ValueError:
        report = None
    if not isinstance(report, dict) or "passed" not in report:
        lines = errors.decode(errors="replace").strip().splitlines()
        ended = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit code {child.returncode}"
        raise GateMissedError(
            f"The self-test crashed ({ended}): {lines[-1] if lines else 'it said nothing'}",
            hint="Look at the board with: edgemnist doctor --on HOST",
        )
    if not report["passed"]:
        raise GateMissedError(f"The self-test failed on the board: {'; '.join(report['reasons'])}")
    return report
