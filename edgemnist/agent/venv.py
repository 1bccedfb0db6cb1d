"""The virtual environment of a release: made once for the same package, versions and Python, and then shared.

One with more in it does as well: a bundle without what the service needs installs nothing where one with it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from edgemnist.agent.durable import find_change, record_tree, sync_directory, write_synced
from edgemnist.agent.record import ANY_MACHINE, WHEELS, BundleRecord
from edgemnist.agent.selftest import finish
from edgemnist.agent.store import COMPLETE_FILE
from edgemnist.errors import DeployError

if TYPE_CHECKING:
    from pathlib import Path

    from edgemnist.agent.archive import Archive
    from edgemnist.agent.store import Store


_INSTALL_TIMEOUT_S = 1800
"""A Pi Zero 2 with a slow card on a slow line needs minutes."""


def needs(record: BundleRecord) -> dict[str, Any]:
    """Return what makes two environments the same on this board."""
    return {
        "package": next(file.sha256 for file in record.files if file.path == record.package),
        "python": [*sys.version_info[:2], platform.machine()],
        "extras": record.extras,
        "constraints": record.constraints,
        # What came with the bundle was signed with it; what the board fetches by itself is not in here.
        "wheels": sorted(file.sha256 for file in record.files if file.path.startswith(WHEELS)),
    }


def venv_key(record: BundleRecord) -> str:
    """Return the name of the environment that is made for a bundle on this board."""
    return hashlib.sha256(json.dumps(needs(record), sort_keys=True).encode()).hexdigest()[:12]


def find_venv(store: Store, record: BundleRecord) -> str | None:
    """Return the name of an environment that is there and has all that a bundle needs, or None."""
    wanted = needs(record)
    for venv in sorted(store.venvs.iterdir()):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            has = json.loads((venv / COMPLETE_FILE).read_bytes())
            same = all(has[name] == wanted[name] for name in ("package", "python"))
            # A version that did not write down the wheels took none into account but the package's own.
            has.setdefault("wheels", [wanted["package"]])
            more = all(set(has[name]) >= set(wanted[name]) for name in ("extras", "constraints", "wheels"))
            if same and more and not find_change(venv):
                return venv.name
    return None


def make_venv(store: Store, record: BundleRecord, archive: Archive) -> str:
    """Install edgemnist with its runtimes, and return the name of the environment.

    Raises DeployError where pip cannot; what it left is removed by the next `Store.sweep`.
    """
    wheels = store.staging / "wheels"
    for file in record.files:
        if file.path.startswith(WHEELS):
            write_synced(wheels / file.path[len(WHEELS) :], archive.read(file.path))
    pins = wheels / "constraints.txt"
    write_synced(pins, "\n".join(record.constraints).encode())
    venv = _free_name(store.venvs, venv_key(record))
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
    record_tree(venv)
    write_synced(venv / COMPLETE_FILE, json.dumps(needs(record)).encode())
    sync_directory(venv)
    return venv.name


def _free_name(venvs: Path, key: str) -> Path:
    """Return where to install: one of the same needs that was changed since may still serve."""
    names = itertools.chain([key], (f"{key}-{number}" for number in itertools.count(2)))
    return next(venvs / name for name in names if not os.path.lexists(venvs / name))


_VENV_HINT = "sudo apt install python3-venv"


def _run(command: list[str], failure: str, hint: str) -> None:
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        output, errors = finish(child, _INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise DeployError(f"{failure}: it did not end within {_INSTALL_TIMEOUT_S} s", hint=hint) from None
    if child.returncode != 0:
        said = (errors + output).decode(errors="replace").splitlines()
        reasons = [line for line in said if line.startswith(("ERROR", "Error"))] or said or ["it gave no reason"]
        if any("No space left" in line for line in said):
            raise DeployError(f"{failure}: the disk of the board is full", hint="Free some space there: sudo apt clean")
        raise DeployError(f"{failure}: {reasons[0]}", hint=hint)
