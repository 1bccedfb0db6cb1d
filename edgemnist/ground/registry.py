"""Names that stand for classes, imported when used.

An `Entry` knows where its class is and which packages that needs without importing either: listings cost nothing, and a
Raspberry Pi never loads TensorFlow.
"""

import contextlib
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

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
        spec = importlib.util.find_spec(self.module)
        if spec is None:
            return None
        place = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or "")).parent
        start = f"{self.distribution.replace('-', '_')}-"
        with contextlib.suppress(OSError):
            found = [name for name in os.listdir(place) if name.startswith(start)]  # noqa: PTH208 - names are enough
            names = [name for name in found if name.endswith(".dist-info")]
            if len(names) == 1:
                return names[0].removeprefix(start).removesuffix(".dist-info")
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
        version: str | None = pkgutil.resolve_name(self.module)()
        return version


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
        versions = {package.distribution: package.version() for package in self.requires}
        return {name: version for name, version in versions.items() if version is not None}

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


class OpenRegistry(Generic[EntryT]):
    """Entries that other modules add to: `homes` are imported before the first look-up, and know what they add.

    So nothing imports who adds to it, and whoever looks a name up finds all of them.
    """

    def __init__(self, kind: str, homes: Sequence[str], entries: Mapping[str, EntryT]) -> None:
        self._homes, self._entries = homes, Registry(kind, entries)

    def add(self, name: str, entry: EntryT) -> None:
        """Add an entry, from one of the homes."""
        self._entries[name] = entry

    def _complete(self) -> Registry[EntryT]:
        for home in self._homes:
            importlib.import_module(home)
        return self._entries

    def __getitem__(self, name: str) -> EntryT:
        """Return the entry of a name. Raises UnknownNameError with the nearest match."""
        return self._complete()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._complete()

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def items(self) -> ItemsView[str, EntryT]:
        """Return the names and their entries, in the order in which they are listed."""
        return self._complete().items()
