"""Running the self-test of a release that is not serving yet, with its own environment, and never for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from edgemnist.deploy.board.child import finish
from edgemnist.errors import GateMissedError

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.deploy.board.request import SelfTestLimits


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
