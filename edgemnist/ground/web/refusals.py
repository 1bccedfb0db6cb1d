"""Why a request is refused, as a status code and a JSON document."""

import logging
from http import HTTPStatus
from typing import Final

import msgspec

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
from edgemnist.ground.results.pictures import ErrorResponse

_log = logging.getLogger(__name__)


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

    def encoded(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and the body of the answer."""
        body = msgspec.json.encode(self.document)
        headers = {"content-type": "application/json", "content-length": str(len(body)), "cache-control": "no-store"}
        return [(name.encode(), value.encode()) for name, value in (headers | self.headers).items()], body


def refusal_of(error: Exception, method: str = "", path: str = "") -> RefusedError:
    """Return how a failure is reported over HTTP: in full if the client can act on it, otherwise in a word.

    What is wrong on the server may name paths on its disk: the log says it, together with `method` and `path`.
    """
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, EdgemnistError):
        status, word, message = next((row[1:] for row in _STATUS if isinstance(error, row[0])), _FAILED)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and path:
            _log.error("%s: %s. %s", path, error.message, error.hint)
        nearest = error.nearest if isinstance(error, UnknownNameError) else None
        return RefusedError(status, word, message or error.message, "" if message else error.hint, nearest=nearest)
    # Starlette's, which is imported by those alone who serve.
    told = getattr(error, "status_code", None)
    if told == HTTPStatus.NOT_FOUND:
        message, hint = f"Nothing is served at {path}", "See /openapi.json for all paths."
        return RefusedError(HTTPStatus.NOT_FOUND, "not-found", message, hint)
    if told == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"allow": (getattr(error, "headers", None) or {}).get("Allow", "")}
        message, hint = f"{path} does not take {method}", f"Use {headers['allow']}."
        return RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", message, hint, headers=headers)
    _log.error("A bug in edgemnist: %s %s", method, path, exc_info=error)
    hint = "The log of the service says more."
    return RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", "This is a bug in edgemnist", hint)


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


def too_large(message: str, hint: str, status: HTTPStatus = HTTPStatus.REQUEST_ENTITY_TOO_LARGE) -> RefusedError:
    """Return the refusal of too many bytes, pixels or pictures."""
    return RefusedError(status, "too-large", message, hint)


def too_slow(message: str) -> RefusedError:
    """Return the refusal of what does not arrive."""
    headers = {"connection": "close"}
    return RefusedError(HTTPStatus.REQUEST_TIMEOUT, "too-slow", message, "Send it again.", headers=headers)


def busy(message: str) -> RefusedError:
    """Return the refusal of what the service has no room for at the moment."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", message, "Try again.", headers={"retry-after": "1"})
