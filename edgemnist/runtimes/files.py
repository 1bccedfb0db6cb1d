"""Model files: read as a whole, and known by their first bytes before a C++ parser sees them."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Final

from edgemnist.errors import ArtifactError
from edgemnist.formats import FORMATS

TFLITE: Final = FORMATS["tflite"].title
ONNX: Final = FORMATS["onnx"].title
C_SOURCE: Final = FORMATS["c"].title
WEB_PAGE: Final = FORMATS["web"].title
KERAS: Final = "Keras"
KERAS_H5: Final = "Keras HDF5"

_MAGIC: Final = {
    **{entry.title: re.compile(entry.magic) for entry in FORMATS.values()},
    KERAS: re.compile(rb"PK\x03\x04"),  # a zip archive
    KERAS_H5: re.compile(rb"\x89HDF\r\n\x1a\n"),
}
MAX_BYTES: Final = 1 << 30
"""Of a model file: more than any for digits has, and as much as a small machine can read."""
_TOO_SHORT = 32
"""Bytes below which no model of any format fits."""


def identify(head: bytes) -> str | None:
    """Return the format of a file that begins with these bytes (8 or more), or None for an unknown one."""
    return next((title for title, magic in _MAGIC.items() if magic.match(head)), None)


def read_file(path: Path) -> bytes:
    """Return the contents of a file.

    Raises ArtifactError where it is missing or unreadable, no file, or far larger than a classifier of digits.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            # It may never end, or never begin.
            raise ArtifactError(f"{path} is a pipe or a device, not a model file")
        if status.st_size > MAX_BYTES:
            raise ArtifactError(
                f"{path} is larger than {MAX_BYTES >> 30} GB", hint="A classifier of digits takes megabytes."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist", hint="Make artifacts with: edgemnist export") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from error


def read_model(path: Path, *formats: str) -> bytes:
    """Return the contents of a model file.

    Raises ArtifactError where the file is missing, unreadable, empty, or not of one of the formats.
    """
    data = read_file(path)
    if not data:
        raise ArtifactError(f"{path} is empty")
    found = identify(data) if len(data) >= _TOO_SHORT else None
    if found not in formats:
        what = f"is a {found} file" if found else "is damaged, or not a model at all"
        raise ArtifactError(f"{path} {what}; a {formats[0]} file was expected")
    return data
