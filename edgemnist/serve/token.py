"""The token that clients have to know."""

from __future__ import annotations

from pathlib import Path

from edgemnist.errors import UsageError


def read_token(path: Path) -> str:
    """Return the first line of a file, without blanks. Raises UsageError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"The token file {path} cannot be read: {reason}", hint=f"Make it with: openssl rand -hex 16 > {path}"
        ) from error
