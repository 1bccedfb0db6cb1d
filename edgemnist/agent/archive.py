"""The container of a bundle: a ZIP file that has exactly one encoding.

Nothing is compressed, as artifacts, packs and wheels are dense already and deflate differs between versions of zlib;
names are sorted, dates and permissions fixed. So the same contents give the same bytes on every machine, and a reader
can encode what it read once more: a file in which any one byte was changed does not come out the same.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING, BinaryIO, Callable, cast

from edgemnist.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that ZIP can express."""
_MODE = 0o100644 << 16
_UNIX = 3
_CHUNK = 1 << 20


class _Sink(io.RawIOBase):
    """Counts and hashes what is written; passes it on where there is somebody to take it."""

    def __init__(self, target: BinaryIO | None) -> None:
        self.digest = hashlib.sha256()
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile passes bytes only
        self.digest.update(data)
        if self._target is not None:
            self._target.write(data)
        return len(data)


def write_archive(target: BinaryIO | None, files: Mapping[str, Callable[[], bytes]]) -> str:
    """Write the one encoding of `files`, contents by name, and return its SHA-256. Without a target, only the latter.

    One file at a time is held in memory.
    """
    sink = _Sink(target)
    with zipfile.ZipFile(cast("BinaryIO", sink), "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = _UNIX
            info.external_attr = _MODE
            archive.writestr(info, files[name]())
    return sink.digest.hexdigest()


def write_contents(target: BinaryIO | None, contents: Mapping[str, bytes]) -> str:
    """Do as `write_archive`, with contents that are in memory already."""
    return write_archive(target, {name: _constant(data) for name, data in contents.items()})


def _constant(data: bytes) -> Callable[[], bytes]:
    return lambda: data


class Archive:
    """An archive that was found to be in its one encoding. Close it after use, or use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        """Open and check the file. Raises BundleError where it is no archive, or any byte of it was changed."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise BundleError(f"There is no bundle {path}", hint="Make one with: edgemnist bundle") from None
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise _damaged(path) from error
        self.sha256 = hash_file(path)
        names = self._zip.namelist()
        try:
            same = write_archive(None, {name: self._reader(name) for name in names}) == self.sha256
        except Exception:  # noqa: BLE001 - a changed header makes zipfile stumble in many ways, all of which mean the same
            same = False
        if not same:
            self._zip.close()
            raise _damaged(path)

    def __enter__(self) -> Archive:  # noqa: PYI034 - typing.Self is younger than the Python of older boards
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """Return the names of all files."""
        return self._zip.namelist()

    def read(self, name: str) -> bytes:
        """Return the contents of a file. Raises BundleError where there is none of this name."""
        try:
            return self._zip.read(name)
        except KeyError:
            raise BundleError(f"{self.path} is no bundle: it holds no {name}") from None

    def _reader(self, name: str) -> Callable[[], bytes]:
        return lambda: self._zip.read(name)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _damaged(path: Path) -> BundleError:
    return BundleError(f"{path} is damaged, or no bundle", hint="Make it anew with: edgemnist bundle")
