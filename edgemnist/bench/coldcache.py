"""Starting as after a boot: with the files of the runtime and the model out of the page cache."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgemnist.runtimes import RUNTIMES


def can_evict() -> bool:
    """Return whether this system lets a program take files out of the page cache."""
    return hasattr(os, "posix_fadvise")


def evict(paths: Iterable[Path]) -> None:
    """Take files out of the page cache, as far as no process has them mapped; what cannot be read stays."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            # Pages that have not been written yet would stay.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def files_of(model: Path, runtime: str) -> Iterator[Path]:
    """Yield the model file and every file of the packages that its runtime stands on."""
    yield model
    for package in RUNTIMES[runtime].requires:
        spec = importlib.util.find_spec(package.module)
        for directory in (spec.submodule_search_locations or []) if spec else []:
            yield from (path for path in Path(directory).rglob("*") if path.is_file())
