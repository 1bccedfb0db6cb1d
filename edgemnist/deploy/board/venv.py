"""The virtual environment of a release: made once for the same package, versions and Python, and then shared."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

from edgemnist.bundle.record import ANY_MACHINE, WHEELS, BundleRecord
from edgemnist.deploy.board.durable import sync_directory, write_synced
from edgemnist.deploy.board.store import COMPLETE_FILE
from edgemnist.errors import DeployError

if TYPE_CHECKING:
    from edgemnist.bundle.archive import Archive
    from edgemnist.deploy.board.store import Store

_INSTALL_TIMEOUT_S = 1800
"""A Pi Zero 2 with a slow card on a slow line needs minutes."""


def venv_key(record: BundleRecord) -> str:
    """Return the name of the environment that a bundle needs on this board."""
    package = next(file.sha256 for file in record.files if file.path == record.package)
    python = [*sys.version_info[:2], platform.machine()]
    needs = json.dumps([package, record.extras, record.constraints, python])
    return hashlib.sha256(needs.encode()).hexdigest()[:12]


def is_ready(store: Store, record: BundleRecord) -> bool:
    """Return whether the environment of a bundle is there already."""
    return (store.venvs / venv_key(record) / COMPLETE_FILE).is_file()


def make_venv(store: Store, record: BundleRecord, archive: Archive) -> None:
    """Install edgemnist with its runtimes.

    Raises DeployError where pip cannot; what it left is removed by the next `Store.sweep`.
    """
    wheels = store.staging / "wheels"
    for file in record.files:
        if file.path.startswith(WHEELS):
            write_synced(wheels / file.path[len(WHEELS) :], archive.read(file.path))
    pins = wheels / "constraints.txt"
    write_synced(pins, "\n".join(record.constraints).encode())
    venv = store.venvs / venv_key(record)
    _run([sys.executable, "-m", "venv", str(venv)], "The virtual environment cannot be made", _VENV_HINT)
    package = wheels / record.package[len(WHEELS) :]
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # What is used is compiled by the self-test anyway; the rest would cost a slow board minutes and megabytes.
    command += ["--no-compile", "--constraint", str(pins), f"{package}[{','.join(record.extras)}]"]
    if record.machine != ANY_MACHINE:
        command += ["--no-index", "--find-links", str(wheels)]
    _run(command, "pip cannot install edgemnist", "A board without network needs a bundle made with --wheels.")
    # Thousands of files: one sync of everything instead of one for each.
    os.sync()
    write_synced(venv / COMPLETE_FILE, b"")
    sync_directory(venv)


_VENV_HINT = "sudo apt install python3-venv"


def _run(command: list[str], failure: str, hint: str) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"{failure}: it did not end within {_INSTALL_TIMEOUT_S} s", hint=hint) from None
    if done.returncode != 0:
        said = (done.stderr + done.stdout).splitlines()
        errors = [line for line in said if line.startswith(("ERROR", "Error"))] or said or ["it gave no reason"]
        if any("No space left" in line for line in said):
            raise DeployError(f"{failure}: the disk of the board is full", hint="Free some space there: sudo apt clean")
        raise DeployError(f"{failure}: {errors[0]}", hint=hint)
