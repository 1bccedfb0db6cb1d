"""`bundle.json`: what a bundle holds and what it needs of a board. Its hash is the identity of the bundle."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from edgemnist.errors import BundleError

if TYPE_CHECKING:
    from edgemnist.agent.archive import Archive


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

    def identity(self) -> str:
        """Return the identity of the bundle, signed or not: the SHA-256 of its record."""
        return hashlib.sha256(self.encode()).hexdigest()


def decode_record(data: bytes) -> BundleRecord:
    """Read a record. Raises BundleError where it is none, or of a newer schema version."""
    try:
        document = json.loads(data)
        version = document["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise BundleError(
                f"The bundle has schema version {version}, and this edgemnist reads up to {SCHEMA_VERSION}",
                hint="Install a newer edgemnist with: pip install --upgrade edgemnist",
            )
        files = [_typed(BundledFile, file) for file in document.pop("files")]
        record = _typed(BundleRecord, {**document, "files": files})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{RECORD_FILE} is not the record of a bundle: {error}") from error
    if record.encode() != data:
        raise BundleError(f"{RECORD_FILE} is not as edgemnist writes it")
    for file in record.files:
        if not _SAFE_PATH.fullmatch(file.path):
            raise BundleError(f"The bundle names a file {file.path!r}, which may lie outside it")
    return record


def read_raw_record(archive: Archive) -> bytes:
    """Return the bytes that a signature covers."""
    return archive.read(RECORD_FILE, most=MOST_RECORD_BYTES)


def read_signature(archive: Archive) -> bytes | None:
    """Return the signature of a bundle; None if it is not signed."""
    return archive.read(SIGNATURE_FILE, most=MOST_RECORD_BYTES) if SIGNATURE_FILE in archive.names() else None


def read_record(archive: Archive) -> BundleRecord:
    """Return the record of an archive after holding every file against it.

    Raises BundleError where a file is missing, unknown, or not the recorded one.
    """
    archive.check_encoding()
    record = decode_record(read_raw_record(archive))
    unknown = set(archive.names()) - {file.path for file in record.files} - {RECORD_FILE, SIGNATURE_FILE}
    if unknown:
        raise BundleError(f"{archive.path} holds {min(unknown)}, which its record does not name")
    for file in record.files:
        if hashlib.sha256(archive.read(file.path)).hexdigest() != file.sha256:
            raise BundleError(f"{file.path} in {archive.path} is not the file that the record describes")
    return record


StructT = TypeVar("StructT")
_TYPES = {"str": str, "int": int, "list[str]": list, "list[BundledFile]": list}


def _typed(kind: type[StructT], document: dict[str, Any]) -> StructT:
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if set(document) != set(fields):
        raise ValueError(f"it has other fields than {', '.join(fields)}")
    for name, type_name in fields.items():
        value = document[name]
        strings = type_name != "list[str]" or all(isinstance(item, str) for item in value)
        if not isinstance(value, _TYPES[type_name]) or not strings:
            raise ValueError(f"{name} is not a {type_name}")
    return kind(**document)
