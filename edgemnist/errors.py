"""Every failure that a user can cause, each with an exit code: 2, wrong usage or input, unless its class has another.

The message is one sentence that says what is wrong and where; the hint, printed below it, says what to do.
"""

from __future__ import annotations

import difflib
import errno
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_OK = 0
EXIT_GATE_MISSED = 1
EXIT_BAD_INPUT = 2
EXIT_MISSING_DEPENDENCY = 3
EXIT_INTERRUPTED = 130


class EdgemnistError(Exception):
    """A failure that the user can fix: `message` says what is wrong and where, `hint`, maybe empty, what to do."""

    exit_code: ClassVar[int] = EXIT_BAD_INPUT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgemnistError):
    """An invalid option or argument."""


class UnknownNameError(UsageError):
    """An unknown name. The error lists the known ones and suggests the nearest match."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = list(known)
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        suggestion = f"; did you mean {nearest[0]!r}?" if nearest else ""
        super().__init__(f"There is no {kind} {name!r}{suggestion}", hint=f"Known: {', '.join(names) or 'none'}.")
        self.name = name
        self.nearest = nearest[0] if nearest else None


class DataError(EdgemnistError):
    """A data set that is missing, damaged or inconsistent."""


class ImageError(EdgemnistError):
    """A picture that cannot be used as an input."""


class SourceError(EdgemnistError):
    """A camera, a stream, a video or a directory that cannot be watched, or that went away."""


class ModelError(EdgemnistError):
    """A Keras model that is damaged, or that no format can express."""


class ArtifactError(EdgemnistError):
    """An artifact that is damaged, mislabelled or not the recorded one."""


class ManifestError(EdgemnistError):
    """An export directory whose record is missing, broken or of a newer version."""


class StorageError(EdgemnistError):
    """A directory that cannot be written: missing, read-only, full."""


class SamplesError(StorageError):
    """A store of samples that cannot be read or written."""


class ReaderGoneError(StorageError):
    """The reader of the results has gone, as after `head`."""


class TrainingError(EdgemnistError):
    """Training that cannot go on: there is no data to learn from, or the loss is not a number."""


class MeasurementError(EdgemnistError):
    """A benchmark whose process died or could not measure."""


class BundleError(EdgemnistError):
    """A bundle that is damaged, not trusted, or made for something else."""


class DeployError(EdgemnistError):
    """A board that cannot be reached, or that refused."""


class GateMissedError(EdgemnistError):
    """The work was done, and a gate was missed: parity, latency regression or self-test."""

    exit_code = EXIT_GATE_MISSED


class MissingDependencyError(EdgemnistError):
    """A package that is not installed. The hint has the exact pip line."""

    exit_code = EXIT_MISSING_DEPENDENCY

    def __init__(self, what: str, packages: Iterable[str], install_line: str) -> None:
        names = list(packages)
        super().__init__(
            f"{what} needs {', '.join(names)}, which {'is' if len(names) == 1 else 'are'} not installed",
            hint=f"Install it with: {install_line}",
        )


class BrokenDependencyError(EdgemnistError):
    """A package that is installed, but does not work on this machine."""

    exit_code = EXIT_MISSING_DEPENDENCY


def upgrade_line() -> str:
    """Return the command that installs a newer edgemnist from where pip says that this one came from."""
    import json
    import shlex
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        source = json.loads(distribution("edgemnist").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        source = {}
    if "dir_info" in source:
        place = shlex.quote(url2pathname(urlsplit(source["url"]).path))
        return f"git -C {place} pull && pip install {place}"
    if "vcs_info" in source:
        return f'pip install --upgrade "edgemnist @ {source["vcs_info"]["vcs"]}+{source["url"]}"'
    return "pip install --upgrade edgemnist"


def temporary_files_failed(error: OSError) -> StorageError:
    """Return the error for a temporary directory that is full or cannot be written."""
    return StorageError(
        f"Temporary files cannot be written: {error.strerror or error}",
        hint=f"Free some space in {os.environ.get('TMPDIR') or '/tmp'}, or name another directory with $TMPDIR.",  # noqa: S108 - named, not used
    )


def reason_of(error: OSError) -> str:
    """Return why the operating system refused something: its own words, where they do not lead astray."""
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename is not None:
        path = Path(os.fsdecode(error.filename))
        # A directory that is to be made "exists" where a file has its name, or that of a part of the way to it.
        return f"{next((place for place in (path, *path.parents) if place.is_file()), path)} is a file, not a directory"
    if isinstance(error, IsADirectoryError) and error.filename is not None:
        return f"{error.filename} is a directory"
    trust = " (SSL_CERT_FILE names a CA that is trusted)" if hasattr(error, "verify_message") else ""
    # OpenSSL adds where it is written in C.
    return re.sub(r"^\[SSL.*?\] | \(_ssl\.c:\d+\)$", "", error.strerror or str(error)) + trust


def explained(error: OSError | ImportError) -> EdgemnistError | None:
    """Return what the operating system, or a package, refused as a sentence, or None where that is a defect of ours.

    A path may be one that cannot even be looked at: too long a name, a loop of links, a directory of somebody else's.
    What fails without a path is a file without a name: a temporary one.
    """
    if isinstance(error, ImportError):
        if (error.name or "").startswith("edgemnist"):
            return None
        return BrokenDependencyError(
            f"A Python package that is installed does not work here: {error}",
            hint="Install it again with `pip install --force-reinstall`; `edgemnist doctor` says which one it is.",
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UsageError(reason_of(error), hint="Name another place.")
    if error.filename is not None:
        return UsageError(f"{error.filename} cannot be used: {error.strerror}")
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS} or "temporary directory" in str(error):
        return temporary_files_failed(error)
    return None


def check_range(
    option: str, value: float | None, *, least: float = -math.inf, most: float = math.inf, above: float = -math.inf
) -> None:
    """Raise UsageError, with the one sentence for it, where an option is out of its range; None is not given.

    `least` and `most` belong to the range, `above` does not. What is not a finite number is out of every range.
    """
    if value is None or (math.isfinite(value) and least <= value <= most and value > above):
        return
    if above > -math.inf:
        wanted = f"more than {above:,.10g}" + (f" and at most {most:,.10g}" if most < math.inf else "")
    elif least > -math.inf and most < math.inf:
        wanted = f"between {least:,.10g} and {most:,.10g}"
    else:
        wanted = f"at least {least:,.10g}" if least > -math.inf else f"at most {most:,.10g}"
    raise UsageError(f"{option} must be {wanted} (got {value:,.10g})")
