"""Model files: read as a whole, and known by their first bytes before a C++ parser sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgemnist.errors import ArtifactError

TFLITE: Final = "TFLite"
ONNX: Final = "ONNX"
KERAS: Final = "Keras"
KERAS_H5: Final = "Keras HDF5"
C_SOURCE: Final = "C"

_TOO_SHORT = 32
"""Bytes below which no model of any format fits."""


def identify(head: bytes) -> str | None:
    """Return the format of a file that begins with these bytes (8 or more), or None for an unknown one."""
    if head[4:8] == b"TFL3":  # file_identifier in the TFLite schema
        return TFLITE
    if head.startswith(b"PK\x03\x04"):  # a zip archive
        return KERAS
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return KERAS_H5
    if head.startswith(b"/* SPDX"):  # the licence, which begins each C file that is exported
        return C_SOURCE
    # A ModelProto starts with field 1, the version of the representation, in every writer's files: tag 0x08, then 3..
    if head[:1] == b"\x08" and 0 < head[1] < 0x80:  # noqa: PLR2004 - a varint of one byte
        return ONNX
    return None


def read_model(path: Path, *formats: str) -> bytes:
    """Return the contents of a model file.

    Raises ArtifactError where the file is missing, unreadable, empty, or not of one of the formats.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist", hint="Make artifacts with: edgemnist export") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise ArtifactError(f"{path} is empty")
    found = identify(data) if len(data) >= _TOO_SHORT else None
    if found not in formats:
        what = f"is a {found} file" if found else "is damaged, or no model at all"
        raise ArtifactError(f"{path} {what}; a {formats[0]} file was expected")
    return data
