"""What makes a bundle a release that is fit to serve: its virtual environment, and its self-test.

A virtual environment is made once for the same package, versions and Python, and then shared. One with more in it will
also do: a bundle without what the service needs installs nothing where one with it was installed before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import select
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from edgemnist.board.agent.bundle import ANY_MACHINE, WHEELS, BundleRecord
from edgemnist.board.agent.durable import discard, sync_directory, write_synced
from edgemnist.board.agent.store import COMPLETE_FILE
from edgemnist.errors import DeployError, GateMissedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgemnist.board.agent import SelfTestLimits
    from edgemnist.board.agent.bundle import Archive
    from edgemnist.board.agent.store import Store


_INSTALL_TIMEOUT_S = 1800
"""A Pi Zero 2 with a slow card on a slow line needs minutes."""
_GRACE_S = 5
_STDOUT = 1


def start(command: list[str], *, stdin: int = subprocess.DEVNULL, cwd: str | None = None) -> subprocess.Popen[bytes]:
    """Start a child that leads a session of its own, so that it is ended with all that it has started."""
    return subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, start_new_session=True
    )


def finish(child: subprocess.Popen[bytes], timeout_s: float | None = None) -> tuple[bytes, bytes]:
    """Return what a child says until its end, which is this call's at the latest. Raises subprocess.TimeoutExpired."""
    with child:
        try:
            return child.communicate(timeout=timeout_s)
        finally:
            _signal(child, signal.SIGKILL)


def end_with_the_line(child: subprocess.Popen[bytes]) -> None:
    """End a child as soon as nobody listens to this process any more; returns at once.

    Without a terminal, sshd gives a process no other sign that the other side went away.
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


def needs(record: BundleRecord) -> dict[str, Any]:
    """Return what makes two environments the same on this board."""
    return {
        "package": next(file.sha256 for file in record.files if file.path == record.package),
        "python": [*sys.version_info[:2], platform.machine()],
        "extras": record.extras,
        "constraints": record.constraints,
        "wheels": sorted(file.sha256 for file in record.files if file.path.startswith(WHEELS)),
    }


def venv_key(record: BundleRecord) -> str:
    """Return the name of the environment that is made for a bundle on this board."""
    return hashlib.sha256(json.dumps(needs(record), sort_keys=True).encode()).hexdigest()[:12]


def find_venv(store: Store, record: BundleRecord) -> str | None:
    """Return the name of an environment that is there and has all that a bundle needs, or None."""
    wanted = needs(record)
    for venv in sorted(store.venvs.iterdir()):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            has = json.loads((venv / COMPLETE_FILE).read_bytes())
            same = all(has[name] == wanted[name] for name in ("package", "python"))
            rest = [(set(has[name]), set(wanted[name])) for name in ("extras", "constraints", "wheels")]
            # Somebody whom the board did not know to distrust yet may have brought the rest.
            enough = all(had == want if store.signed_only else had >= want for had, want in rest)
            if same and enough:
                return venv.name
    return None


def make_venv(store: Store, record: BundleRecord, archive: Archive) -> str:
    """Install edgemnist with its runtimes, and return the name of the environment.

    Raises DeployError where pip cannot; what it left is removed by the next `Store.sweep`.
    """
    wheels = store.staging / "wheels"
    wheels.mkdir()
    for file in record.files:
        if file.path.startswith(WHEELS):
            write_synced(wheels / file.path[len(WHEELS) :], archive.read(file.path))
    pins = wheels / "constraints.txt"
    write_synced(pins, "\n".join(record.constraints).encode())
    key = venv_key(record)
    venv = store.venvs / key
    if venv.exists():
        # It may still serve.
        venv = store.venvs / f"{key}-{secrets.token_hex(4)}"
    _run(
        [sys.executable, "-m", "venv", str(venv)],
        "The virtual environment cannot be created",
        "sudo apt install python3-venv",
    )
    package = wheels / record.package[len(WHEELS) :]
    pip = [str(venv / "bin" / "python"), "-m", "pip"]
    given = ["--quiet", "--disable-pip-version-check", "--constraint", str(pins), with_extras(package, record.extras)]
    failed = "pip cannot install edgemnist", "A board without network needs a bundle made with --wheels."
    # What is used is compiled by the self-test anyway; the rest would cost a slow board minutes and megabytes.
    command = [*pip, "install", "--no-compile", *given]
    if record.machine != ANY_MACHINE:
        command += ["--no-index", f"--find-links={wheels}"]
    _run(command, *failed)
    _compile_engine(venv)
    # Thousands of files: one sync of everything instead of one for each.
    os.sync()
    write_synced(venv / COMPLETE_FILE, json.dumps(needs(record)).encode())
    sync_directory(venv)
    discard(wheels, store.staging)
    return venv.name


def _compile_engine(venv: Path) -> None:
    """Compile the engine where the board has a compiler; where it has none, the other runtimes answer."""
    # -I: what is compiled is what was installed, whatever the environment of the login says.
    child = start([str(venv / "bin" / "python"), "-I", "-m", "edgemnist.model.native"])
    with contextlib.suppress(subprocess.TimeoutExpired):
        finish(child, _INSTALL_TIMEOUT_S)


def with_extras(package: Path, extras: Sequence[str]) -> str:
    """Return a wheel as a requirement: pip takes no empty brackets."""
    return f"{package}[{','.join(extras)}]" if extras else str(package)


def _run(command: list[str], failure: str, hint: str) -> None:
    child = start(command)
    try:
        output, errors = finish(child, _INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise DeployError(f"{failure}: it did not finish within {_INSTALL_TIMEOUT_S:,} s", hint=hint) from None
    if child.returncode != 0:
        said = (errors + output).decode(errors="replace").splitlines()
        reasons = [line for line in said if line.startswith(("ERROR", "Error"))] or said or ["it gave no reason"]
        if any("No space left" in line for line in said):
            raise DeployError(f"{failure}: the disk of the board is full", hint="Free some space there: sudo apt clean")
        # Of a defect of its own, pip says so first; the reason is the last line.
        reason = said[-1] if reasons[0].startswith("ERROR: Exception") else reasons[0]
        raise DeployError(f"{failure}: {reason.strip()}", hint=hint)


def run_selftest(release: Path, limits: SelfTestLimits) -> dict[str, Any]:
    """Return the report of `edgemnist.selftest`. Raises GateMissedError if it fails, crashes or hangs."""
    # -I: what is tested is the release, whatever the environment of the login says.
    command = [str(release / "venv" / "bin" / "python"), "-I", "-m", "edgemnist.selftest", str(release / "exports")]
    if limits.max_p99_us is not None:
        command += ["--max-p99-us", str(limits.max_p99_us)]
    if limits.max_rss_mb is not None:
        command += ["--max-rss-mb", str(limits.max_rss_mb)]
    # As long as this end of the pipe is open the child knows that this process lives; it ends with it.
    life, ours = os.pipe()
    try:
        child = start(command, stdin=life)
        os.close(life)
        output, errors = finish(child, limits.timeout_s)
    except subprocess.TimeoutExpired:
        raise GateMissedError(
            f"The self-test hung: it did not finish within {limits.timeout_s:,.10g} s",
            hint="Look at the board with: edgemnist doctor --on HOST",
        ) from None
    finally:
        os.close(ours)
    report = None
    with contextlib.suppress(ValueError, RecursionError):
        report = json.loads(output)
    if not isinstance(report, dict) or "passed" not in report:
        lines = errors.decode(errors="replace").strip().splitlines()
        ended = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit code {child.returncode}"
        raise GateMissedError(
            f"The self-test crashed ({ended}): {lines[-1] if lines else 'it printed nothing'}",
            hint="Look at the board with: edgemnist doctor --on HOST",
        )
    if not report["passed"]:
        raise GateMissedError(f"The self-test failed on the board: {'; '.join(report['reasons'])}")
    return report
