"""Names that stand for classes, imported when used.

An `Entry` knows where its class lives and which packages that needs, without importing either: so help texts, listings
and the message for a missing package cost nothing, and a Raspberry Pi never loads TensorFlow.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from edgemnist.errors import MissingDependencyError, UnknownNameError


@dataclass(frozen=True)
class Package:
    """A Python package that an entry depends on."""

    distribution: str
    """Name on the package index, such as `ai-edge-litert`."""
    module: str
    """Name to import, such as `ai_edge_litert`."""

    def is_installed(self) -> bool:
        """Return whether the package is there. Imports nothing."""
        return importlib.util.find_spec(self.module) is not None

    def version(self) -> str | None:
        """Return the installed version, or None where the package is missing. Imports nothing of it."""
        if not self.is_installed():
            return None
        # It imports what reads mail: 30 ms that a process for one picture can do without.
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(self.distribution)
        except PackageNotFoundError:
            # Some builds go by another name, such as tensorflow-cpu for tensorflow.
            return "unknown"


@dataclass(frozen=True)
class Resource(Package):
    """Something else that an entry depends on: `module` is `module:function`, which returns its version, or None."""

    def is_installed(self) -> bool:
        """Return whether it is there."""
        return self.version() is not None

    def version(self) -> str | None:
        """Return the version, or None where it is missing."""
        found: str | None = pkgutil.resolve_name(self.module)()
        return found


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One name of a registry."""

    target: str
    """Where the class is: `package.module:Class`."""
    summary: str
    """One line for listings and help texts."""
    requires: tuple[Package, ...] = ()
    """Packages that `target` imports."""
    extra: str = ""
    """The pip extra of edgemnist that brings them."""

    def missing(self) -> tuple[str, ...]:
        """Return the distributions that are required and not installed."""
        return tuple(package.distribution for package in self.requires if not package.is_installed())

    def versions(self) -> dict[str, str]:
        """Return the installed versions of the required packages, by distribution."""
        found = {package.distribution: package.version() for package in self.requires}
        return {name: version for name, version in found.items() if version is not None}

    def install_line(self) -> str:
        """Return the command that brings the required packages."""
        return f'pip install "edgemnist[{self.extra}]"'

    def load(self) -> Any:  # noqa: ANN401 - the class behind a name is known at run time only
        """Import and return the class.

        Raises MissingDependencyError, with the pip line, where a required package is not installed.
        """
        if missing := self.missing():
            raise MissingDependencyError(self.summary, missing, self.install_line())
        return pkgutil.resolve_name(self.target)


EntryT = TypeVar("EntryT")


class Registry(dict[str, EntryT]):
    """Entries by name, in the order in which they are listed to users."""

    def __init__(self, kind: str, entries: Mapping[str, EntryT]) -> None:
        super().__init__(entries)
        self.kind = kind

    def __missing__(self, name: str) -> NoReturn:
        """Raise UnknownNameError with the nearest match."""
        raise UnknownNameError(self.kind, name, self)
