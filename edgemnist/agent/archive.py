"""The container of a bundle: a ZIP file that has exactly one encoding.

Nothing is compressed, as artifacts, packs and wheels are dense already and deflate differs between versions of zlib;
names are sorted, dates and permissions fixed. So the same contents give the same bytes on every machine, and a reader
can encode what it read once more: a file in which any one byte was changed does not come out the same.
"""

from __future__ import annotations

import hashlib
import io
import struct
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
_END = struct.Struct("<4s4H2LH")
"""The end of a ZIP file without a comment; its sixth field is the size of the directory."""
_MOST_DIRECTORY_BYTES = 1 << 20


class _Sink(io.RawIOBase):
    """Counts and hashes what is written; passes it on if it has a target."""

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
    """A ZIP file whose members are stored, not compressed, and lie within it. Close it after use, or use `with`.

    What it claims is checked before anything is read, so no member costs more memory than the file has bytes.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises BundleError if it is no such archive; `check_encoding` looks at every byte."""
        self.path = path
        try:
            _check_directory(path)
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise BundleError(f"There is no bundle {path}", hint="Make one with: edgemnist bundle") from None
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise _damaged(path) from error
        members = self._zip.infolist()
        size = path.stat().st_size
        stored = all(one.compress_type == zipfile.ZIP_STORED and one.compress_size == one.file_size for one in members)
        if not stored or sum(one.file_size for one in members) > size:
            self._zip.close()
            raise _damaged(path)

    def check_encoding(self) -> str:
        """Return the SHA-256 of the file. Raises BundleError if it is not in its one encoding: any byte was changed."""
        sha256 = hash_file(self.path)
        try:
            same = write_archive(None, {name: self._reader(name) for name in self.names()}) == sha256
        except Exception:  # noqa: BLE001 - a changed header makes zipfile stumble in many ways, all of which mean the same
            same = False
        if not same:
            raise _damaged(self.path)
        return sha256

    def __enter__(self) -> Archive:  # noqa: PYI034 - typing.Self is younger than the Python of older boards
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """Return the names of all files."""
        return self._zip.namelist()

    def read(self, name: str, *, most: int | None = None) -> bytes:
        """Return the contents of a file. Raises BundleError if it is missing, damaged, or longer than `most` bytes."""
        try:
            if most is not None and self._zip.getinfo(name).file_size > most:
                raise BundleError(f"{name} in {self.path} has more than {most:,} bytes")
            return self._zip.read(name)
        except KeyError:
            raise BundleError(f"{self.path} is not a bundle: it has no {name}") from None
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            raise _damaged(self.path) from error

    def _reader(self, name: str) -> Callable[[], bytes]:
        return lambda: self._zip.read(name)


def _check_directory(path: Path) -> None:
    """Raise ValueError unless the directory at the end of a ZIP file is small: zipfile takes ten times its memory."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - _END.size))
        end = file.read(_END.size)
    if len(end) < _END.size or _END.unpack(end)[0] != b"PK\5\6" or _END.unpack(end)[5] > _MOST_DIRECTORY_BYTES:
        raise ValueError("the directory of the archive is missing or too large")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _damaged(path: Path) -> BundleError:
    return BundleError(f"{path} is damaged, or not a bundle", hint="Make it again with: edgemnist bundle")
