"""Where data sets are kept between runs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edgemnist.errors import StorageError
from edgemnist.progress import Reporter
from edgemnist.storage import write_file


def cache_directory(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the user's cache directory for edgemnist, which may not exist yet.

    `$EDGEMNIST_CACHE`, or what the system prescribes: the XDG base directories on Linux, `~/Library/Caches` on macOS,
    `%LOCALAPPDATA%` on Windows.
    """
    if chosen := environ.get("EDGEMNIST_CACHE"):
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        # A container may run under a user that has no home.
        return Path(tempfile.gettempdir()) / "edgemnist"
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "edgemnist" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "edgemnist"
    # The XDG specification says to ignore a path that is not absolute.
    xdg = Path(environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else home / ".cache") / "edgemnist"


def keep(directory: Path, files: Mapping[str, bytes], reporter: Reporter) -> None:
    """Write files for the next run. Where that is impossible, say so and go on: a cache is a convenience."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_file(directory / name, data)
    except (OSError, StorageError) as error:
        reporter.notice(f"Nothing could be kept for the next run: {error}")
