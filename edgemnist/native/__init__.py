"""The engine in C that executes full-int8 networks: its sources, its shared library, and what a network is to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemnist.native.build import find_compiler, library_name
from edgemnist.registry import Package

LIBRARY: Final = Path(__file__).with_name(library_name())
"""The shared library, which a wheel brings and `python -m edgemnist.native` makes."""
BUILD: Final = "python -m edgemnist.native"


@dataclass(frozen=True)
class NativeLibrary(Package):
    """The shared library, as the registry asks for packages."""

    def version(self) -> str | None:
        """Return this package's version, which the library came with, or None where it is missing."""
        from edgemnist import __version__

        return __version__ if LIBRARY.exists() else None


@dataclass(frozen=True)
class Compiler(Package):
    """A C compiler, as the registry asks for packages."""

    def version(self) -> str | None:
        """Return its name, or None where there is none."""
        found = find_compiler()
        return None if found is None else Path(found[0]).name
