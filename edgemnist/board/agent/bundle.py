"""The file that a board gets: a ZIP archive with exactly one encoding, the record of what is in it, and its signature.

Nothing is compressed, as artifacts, packs and wheels are dense already and deflate differs between versions of zlib;
names are sorted, dates and permissions fixed. So the same contents give the same bytes on every machine, and a reader
can encode what it read once more: a file in which any one byte was changed does not come out the same.

`bundle.json` says what a bundle holds and what it needs of a board; its hash is the identity of the bundle. It has the
hash of every file, so it is all that is signed: with the user's own SSH key (`ssh-keygen -Y`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, TypeVar, cast

from edgemnist.board.agent.durable import hash_file
from edgemnist.errors import BundleError, MissingDependencyError, upgrade_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that ZIP can express."""
_MODE = 0o100644 << 16
_UNIX = 3


def encode_archive(contents: Mapping[str, bytes]) -> bytes:
    """Return the one encoding of files, contents by name."""
    stream = io.BytesIO()
    _write(stream.write, contents, contents.__getitem__)
    return stream.getvalue()


def _write(take: Callable[[bytes], object], names: Iterable[str], read: Callable[[str], bytes]) -> None:
    with zipfile.ZipFile(cast("BinaryIO", _Sink(take)), "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(names):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = _UNIX
            info.external_attr = _MODE
            archive.writestr(info, read(name))


class _Sink(io.RawIOBase):
    """Hands on what is written. There is no way back in it, and what zipfile writes depends on that."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile passes bytes only
        self._take(data)
        return len(data)


class Archive:
    """A ZIP file whose members are stored, so that none costs more memory than the file has bytes. Use it by `with`."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises BundleError if it is no such archive; `check_encoding` looks at every byte."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise BundleError(f"There is no bundle {path}", hint="Make one with: edgemnist bundle") from None
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise _damaged(path) from error
        size, members = path.stat().st_size, self._zip.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED or member.compress_size > size for member in members):
            self._zip.close()
            raise _damaged(path)

    def check_encoding(self) -> None:
        """Raise BundleError if the file is not in its one encoding: any byte was changed."""
        digest = hashlib.sha256()
        try:
            # One file at a time is held in memory.
            _write(digest.update, self.names(), self._zip.read)
        except Exception as error:  # a changed header makes zipfile stumble in many ways, all of which mean the same
            raise _damaged(self.path) from error
        if digest.hexdigest() != hash_file(self.path):
            raise _damaged(self.path)

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
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
            raise _damaged(self.path) from error


def _damaged(path: Path) -> BundleError:
    return BundleError(f"{path} is damaged, or not a bundle", hint="Make it again with: edgemnist bundle")


RECORD_FILE = "bundle.json"
SIGNATURE_FILE = "bundle.json.sig"
EXPORTS = "exports/"
"""Where the export directory lies in a bundle."""
WHEELS = "wheels/"
SCHEMA_VERSION = 1
ANY_MACHINE = "any"
MOST_RECORD_BYTES = 1 << 22
"""A record names every file of a bundle, which are tens; 4 MB are thousands."""

_SAFE_PATH = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*")
"""Nothing absolute, nothing hidden, no `..`: a bundle cannot write outside its own directory."""

_PIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9.+!_-]+")
_EXTRA = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class BundledFile:
    """A file of the bundle."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class BundleRecord:
    """Everything about a bundle."""

    schema_version: int
    edgemnist: str
    """Version of the package in it."""
    package: str
    """Path of the wheel of edgemnist itself."""
    extras: list[str]
    """Extras of edgemnist that the artifacts need, such as `tflite`."""
    constraints: list[str]
    """Pinned versions of what edgemnist stands on, as they were where the bundle was made."""
    machine: str
    """What the wheels are built for, such as `aarch64`; `any` where the board fetches its own."""
    pythons: list[str]
    """Python versions that the wheels are for, such as `3.11`; empty with `any`."""
    artifacts: list[str]
    labels: list[str]
    files: list[BundledFile]

    def encode(self) -> bytes:
        """Return the contents of the file."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True).encode() + b"\n"

    def check_fits(self, board: str, machine: str, python: str) -> None:
        """Raise BundleError, with `board` in it, where the wheels are for another processor or another Python."""
        if self.machine == ANY_MACHINE:
            return
        for has, wanted, found, option in (
            (f"is {machine}", [self.machine], machine, f"--machine {machine}"),
            (f"has Python {python}", self.pythons, python, f"--python {python}"),
        ):
            if found not in wanted:
                raise BundleError(
                    f"{board} {has}, but the bundle has wheels for {', '.join(wanted)}",
                    hint=f"Make one with: edgemnist bundle --wheels {option}",
                )

    def identity(self) -> str:
        """Return the identity of the bundle: the SHA-256 of its record."""
        return hashlib.sha256(self.encode()).hexdigest()


def decode_record(data: bytes) -> BundleRecord:
    """Read a record. Raises BundleError where it is not one, or of a newer schema version."""
    try:
        document = json.loads(data)
        version = document["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise BundleError(
                f"The bundle has schema version {version}, and this edgemnist reads up to {SCHEMA_VERSION}",
                hint=f"Install a newer edgemnist with: {upgrade_line()}",
            )
        files = [_typed(BundledFile, file) for file in document.pop("files")]
        record = _typed(BundleRecord, {**document, "files": files})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{RECORD_FILE} is not the record of a bundle: {error}") from error
    if record.encode() != data:
        raise BundleError(f"{RECORD_FILE} is not as edgemnist writes it")
    for file in record.files:
        if not _SAFE_PATH.fullmatch(file.path):
            raise BundleError(f"The bundle names a file {file.path!r}, which could be written outside its directory")
    for pin in record.constraints:
        # A line of another form could be an option of pip's, or an address.
        if not _PIN.fullmatch(pin):
            raise BundleError(f"{RECORD_FILE} has a constraint that is not NAME==VERSION: {pin[:100]!r}")
    for extra in record.extras:
        if not _EXTRA.fullmatch(extra):
            raise BundleError(f"{RECORD_FILE} has an extra that is not a name: {extra[:100]!r}")
    return record


def read_raw_record(archive: Archive) -> bytes:
    """Return the bytes that a signature covers."""
    return archive.read(RECORD_FILE, most=MOST_RECORD_BYTES)


def read_signature(archive: Archive) -> bytes | None:
    """Return the signature of a bundle; None if it is not signed."""
    return archive.read(SIGNATURE_FILE, most=MOST_RECORD_BYTES) if SIGNATURE_FILE in archive.names() else None


def read_record(archive: Archive) -> BundleRecord:
    """Return the record of an archive. Raises BundleError where a file is missing, unknown, or not the recorded one."""
    archive.check_encoding()
    record = decode_record(read_raw_record(archive))
    unknown = set(archive.names()) - {file.path for file in record.files} - {RECORD_FILE, SIGNATURE_FILE}
    if unknown:
        raise BundleError(f"{archive.path} contains {min(unknown)}, which its record does not list")
    if not record.package.startswith(WHEELS) or record.package not in {file.path for file in record.files}:
        raise BundleError(f"{RECORD_FILE} names a package that the bundle does not have: {record.package!r}")
    for file in record.files:
        if hashlib.sha256(archive.read(file.path)).hexdigest() != file.sha256:
            raise BundleError(f"{file.path} in {archive.path} is not the file that the record describes")
    return record


StructT = TypeVar("StructT")
_TYPES = {"str": str, "int": int, "list[str]": list, "list[BundledFile]": list}


def _typed(kind: type[StructT], document: dict[str, Any]) -> StructT:
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if set(document) != set(fields):
        raise ValueError(f"its fields are not {', '.join(fields)}")
    for name, type_name in fields.items():
        value = document[name]
        strings = type_name != "list[str]" or all(isinstance(item, str) for item in value)
        if not isinstance(value, _TYPES[type_name]) or not strings:
            raise ValueError(f"{name} is not a {type_name}")
    return kind(**document)


NAMESPACE = "edgemnist-bundle"
"""A signature for another purpose, such as a git commit, does not count here."""


def sign(data: bytes, key: Path) -> bytes:
    """Return the signature of `data` with an SSH key: a private key file, or the public half of one in the agent.

    Raises BundleError where ssh-keygen cannot sign with it.
    """
    done = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, data=data)
    if done.returncode != 0:
        raise BundleError(
            f"The bundle cannot be signed with {key}: {_last_line(done)}",
            hint="Name an SSH key file such as ~/.ssh/id_ed25519, or the .pub file of a key in your agent.",
        )
    return done.stdout


def verify(data: bytes, signature: bytes | None, allowed_signers: Path) -> None:
    """Raise BundleError if there is no signature, a stranger's, or one that is not of `data`."""
    hint = f"Sign it with: edgemnist bundle --sign KEY, with a key listed in {allowed_signers}"
    if signature is None:
        raise BundleError("The bundle is not signed, and this board accepts only signed bundles", hint=hint)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "signature"
        file.write_bytes(signature)
        trusted = ("-f", str(allowed_signers), "-s", str(file))
        found = _ssh_keygen("find-principals", *trusted, data=b"")
        signers = found.stdout.decode(errors="replace").split("\n")[0]
        if found.returncode != 0 or not signers:
            raise BundleError("The bundle is signed with a key that this board does not trust", hint=hint)
        signer = signers.split(",")[0]
        done = _ssh_keygen("verify", *trusted, "-I", signer, "-n", NAMESPACE, data=data)
    if done.returncode != 0:
        raise BundleError(f"The signature of the bundle is not valid: {_last_line(done)}", hint=hint)


def _ssh_keygen(action: str, *arguments: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", "-Y", action, *arguments], input=data, check=False, capture_output=True)
    except FileNotFoundError:
        raise MissingDependencyError("A signature", ["ssh-keygen"], "sudo apt install openssh-client") from None


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ssh-keygen ended with {done.returncode}"
