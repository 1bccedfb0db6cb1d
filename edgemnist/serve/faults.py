"""Everything a request can be refused for, as a status code and a JSON document."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from edgemnist.errors import (
    ArtifactError,
    EdgemnistError,
    ImageError,
    ManifestError,
    MissingDependencyError,
    StorageError,
    UnknownNameError,
    UsageError,
)
from edgemnist.results.serve import ErrorResponse


class RefusedError(Exception):
    """A refusal: status code, a word for programs, what is wrong, what to do."""

    def __init__(
        self, status: HTTPStatus, error: str, message: str, hint: str = "", *, headers: dict[str, str] | None = None,
        nearest: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.document = ErrorResponse(error=error, message=message, hint=hint, nearest=nearest)
        self.headers = headers or {}


def fault_of(error: EdgemnistError) -> RefusedError:
    """Return how a failure is told over HTTP."""
    status, word = next((row[1:] for row in _STATUS if isinstance(error, row[0])), _FAILED)
    nearest = error.nearest if isinstance(error, UnknownNameError) else None
    return RefusedError(status, word, error.message, error.hint, nearest=nearest)


_FAILED: Final = (HTTPStatus.INTERNAL_SERVER_ERROR, "failed")
_STATUS: Final = (
    (UnknownNameError, HTTPStatus.NOT_FOUND, "unknown-artifact"),
    (UsageError, HTTPStatus.BAD_REQUEST, "wrong-usage"),
    (ImageError, HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-picture"),
    # What was recorded has changed on the disk: nothing that the client could mend.
    (ArtifactError, HTTPStatus.SERVICE_UNAVAILABLE, "damaged-artifact"),
    (ManifestError, HTTPStatus.SERVICE_UNAVAILABLE, "damaged-artifact"),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE, "damaged-artifact"),
    (MissingDependencyError, HTTPStatus.NOT_IMPLEMENTED, "missing-dependency"),
)


def bad_request(message: str, hint: str = "") -> RefusedError:
    """Return the refusal of a request that is not formed as the OpenAPI document says."""
    return RefusedError(HTTPStatus.BAD_REQUEST, "malformed", message, hint)


def too_large(message: str, hint: str) -> RefusedError:
    """Return the refusal of too many bytes, pixels or pictures."""
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", message, hint)


def too_slow(message: str) -> RefusedError:
    """Return the refusal of a body that does not arrive."""
    return RefusedError(
        HTTPStatus.REQUEST_TIMEOUT, "too-slow", message, "Send it anew.", headers={"connection": "close"}
    )


def busy(message: str) -> RefusedError:
    """Return the refusal of what there is no room for at the moment."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", message, "Try again.", headers={"retry-after": "1"})


def stopping() -> RefusedError:
    """Return the refusal of what is not done when the service has to end."""
    return busy("The service stops, and this would have taken too long")
