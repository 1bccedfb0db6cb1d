"""File operations that a crash or a power cut leaves done or undone."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file, and its contents to the disk. The name is durable after `sync_directory` only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_tree(directory: Path) -> None:
    """Make all names below a directory durable."""
    for parent, _, _ in os.walk(directory):
        descriptor = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in the place of another, at once."""
    temporary = path.with_name(f".{path.name}.new")
    write_synced(temporary, data)
    temporary.replace(path)
    sync_directory(path.parent)


def replace_link(link: Path, target: str) -> None:
    """Point a symbolic link somewhere else, at once: a reader finds the old target or the new one."""
    temporary = link.with_name(f".{link.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def discard(path: Path, bin_: Path) -> None:
    """Remove a directory so that nobody ever sees half of it: it is moved to `bin_` first."""
    bin_.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        grave = bin_ / f"removed-{number}"
        if not os.path.lexists(grave):
            break
    path.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)
