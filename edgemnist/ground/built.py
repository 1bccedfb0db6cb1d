"""What a package was built from. The build hook loads this file alone, so it needs nothing but the standard library."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

BUILT_FILE: Final = "built.json"
"""In the package of a wheel and of an sdist; a checkout asks git."""


class Built(NamedTuple):
    """A state of the sources."""

    commit: str
    """All of git's hash."""
    changed: bool
    """Whether files differ from those of the commit."""


def built_from(package: Path) -> Built | None:
    """Return what the package in the directory `package` was built from, or None if nothing says so."""
    try:
        return Built(**json.loads((package / BUILT_FILE).read_bytes()))
    except (OSError, TypeError, ValueError):
        pass
    # Not of a repository around, such as that of who unpacked an archive in it.
    if not (package.parent / ".git").exists():
        return None
    git = ("git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        done = subprocess.run(git, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    except (OSError, subprocess.CalledProcessError):
        return None
    commit, _, changed = done.stdout.strip().partition("-")
    return Built(commit, bool(changed))
