"""The token that clients have to know."""

from __future__ import annotations

from pathlib import Path

from edgemnist.errors import UsageError
from edgemnist.serve.config import MIN_TOKEN


def read_token(token: str | None, file: Path | None) -> str | None:
    """Return the first line of `file` where one was named, else `token`. Raises UsageError where it cannot be read."""
    if file is None:
        return token
    try:
        return file.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"The token file {file} cannot be read: {reason}", hint=f"Make it with: openssl rand -hex 16 > {file}"
        ) from error


def unit_token(token: str | None, file: Path | None) -> str | None:
    """Return something in the place of the token, which systemd reads later, and perhaps only root may read now.

    Raises UsageError for a token that would have to stand in the unit, where everybody can read it.
    """
    if file is None and token is not None:
        raise UsageError(
            "A unit is no place for a token: everybody on the machine can read it",
            hint="Put it into a file that only root can read, and name that with --token-file.",
        )
    return None if file is None else "0" * MIN_TOKEN
