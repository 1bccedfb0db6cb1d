"""Why a request is refused, as a status code and a JSON document."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from edgemnist.errors import (
    ArtifactError,
    EdgemnistError,
    ImageError,
    ManifestError,
    MissingDependencyError,
    SamplesError,
    StorageError,
    UnknownNameError,
    UsageError,
)
from edgemnist.results.pictures import ErrorResponse


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


def refusal_of(error: EdgemnistError) -> RefusedError:
    """Return how a failure is told over HTTP: what the client can do something about in full, the rest in a word.

    What is wrong on the server's disk may name its paths; that is for the log.
    """
    status, word, message = next((row[1:] for row in _STATUS if isinstance(error, row[0])), _FAILED)
    nearest = error.nearest if isinstance(error, UnknownNameError) else None
    hint = "" if message else error.hint
    return RefusedError(status, word, message or error.message, hint, nearest=nearest)


_FAILED: Final = (HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "The service could not answer; its log says why")
_DAMAGED: Final = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    "damaged-artifact",
    "The artifact cannot be used: its files have changed since the service started; the service's log says how",
)
UNUSABLE: Final = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    "unusable-samples",
    "The samples cannot be read or written; the log says why",
)
_STATUS: Final = (
    (UnknownNameError, HTTPStatus.NOT_FOUND, "unknown-artifact", ""),
    (UsageError, HTTPStatus.BAD_REQUEST, "wrong-usage", ""),
    (ImageError, HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-picture", ""),
    (ArtifactError, *_DAMAGED),
    (ManifestError, *_DAMAGED),
    (SamplesError, *UNUSABLE),
    (StorageError, *_DAMAGED),
    (MissingDependencyError, HTTPStatus.NOT_IMPLEMENTED, "missing-dependency", ""),
)


def bad_request(message: str, hint: str = "") -> RefusedError:
    """Return the refusal of a request that is not formed as the OpenAPI document says."""
    return RefusedError(HTTPStatus.BAD_REQUEST, "malformed", message, hint)


def unsupported(message: str, hint: str) -> RefusedError:
    """Return the refusal of a body of another type."""
    return RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-type", message, hint)


def too_large(message: str, hint: str) -> RefusedError:
    """Return the refusal of too many bytes, pixels or pictures."""
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", message, hint)


def too_slow(message: str) -> RefusedError:
    """Return the refusal of a body that does not arrive."""
    return RefusedError(
        HTTPStatus.REQUEST_TIMEOUT, "too-slow", message, "Send it again.", headers={"connection": "close"}
    )


def busy(message: str) -> RefusedError:
    """Return the refusal of what the service has no room for at the moment."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", message, "Try again.", headers={"retry-after": "1"})


def stopping() -> RefusedError:
    """Return the refusal of what is not done when the service has to end."""
    return busy("The service is stopping")
