"""Results that stay beside the manifest for later commands: `verify.json` and `bench.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgemnist.errors import ManifestError, StorageError
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import SCHEMA_VERSION, Result, ResultT, read_result
from edgemnist.storage import write_file


def read_saved(path: Path, kind: type[ResultT], *, hint: str) -> ResultT | None:
    """Return the result that a file holds, or None where there is no file.

    Raises ManifestError, with `hint`, where the file cannot be read, is broken or has a newer schema version.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    try:
        version = msgspec.json.decode(data, type=_Versioned).schema_version
        if version <= SCHEMA_VERSION:
            return read_result(kind, data)
    except msgspec.MsgspecError as error:
        raise ManifestError(f"{path} is broken: {error}", hint=hint) from error
    raise ManifestError(
        f"{path} has schema version {version}, and this edgemnist reads up to {SCHEMA_VERSION}", hint=hint
    )


def write_saved(path: Path, result: Result, reporter: Reporter = SILENT) -> bool:
    """Save a result, and return whether that was possible.

    The directory may be one that nobody can write to, such as the reference in an installed wheel. The result itself
    is on its way to the user, so that is worth a notice and no error.
    """
    try:
        write_file(path, result.to_json().encode() + b"\n")
    except StorageError as error:
        reporter.notice(f"{path.name} was not saved: {error.message}.")
        return False
    return True


class _Versioned(msgspec.Struct):
    schema_version: int
