"""Reading a request's body: never more than is allowed, and never for ever."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from edgemnist.serve.config import Limits
from edgemnist.serve.limits import BodyMemory
from edgemnist.serve.refusals import RefusedError, too_large, too_slow

if TYPE_CHECKING:
    from starlette.requests import Request


JSON: Final = "application/json"
ANY_BYTES: Final = "application/octet-stream"
MAX_DIGITS: Final = 18
"""Of a body's length in bytes."""


class GoneError(Exception):
    """The client went away before it was answered."""


class Body:
    """The body of one request; as a context manager, which gives the memory back."""

    def __init__(self, request: Request, limits: Limits, memory: BodyMemory) -> None:
        self._request, self._limits, self._memory = request, limits, memory
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._memory.give_back(self._taken)

    async def read(self) -> bytearray:
        """Return the body. Raises RefusedError where it is too large or too slow."""
        announced = self._request.headers.get("content-length", "")
        # A length of thousands of digits is none that Python takes for a number.
        if announced.isdecimal() and (len(announced) > MAX_DIGITS or int(announced) > self._limits.max_bytes):
            raise self._too_large()
        # In one piece, which goes back to the system as such: of many small ones, the C library keeps the most.
        received = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                while await self._receive(received):
                    pass
        except TimeoutError:
            raise too_slow("The body did not arrive in time") from None
        return received

    async def _receive(self, received: bytearray) -> bool:
        async with asyncio.timeout(self._limits.stall_timeout_s):
            message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        if chunk := message.get("body", b""):
            if self._taken + len(chunk) > self._limits.max_bytes:
                raise self._too_large()
            self._memory.take(len(chunk))
            self._taken += len(chunk)
            received += chunk
        return bool(message.get("more_body", False))

    def _too_large(self) -> RefusedError:
        return too_large(
            f"The body has more than {self._limits.max_bytes:,} bytes, which is the limit",
            "Scale the picture down, or send fewer at once.",
        )


def content_type(request: Request, *, batches: bool) -> str:
    """Return the media type of a body, without parameters. Raises RefusedError for neither a picture nor JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == ANY_BYTES or (batches and kind == JSON):
        return kind
    raise RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-type",
        f"A body of type {kind!r} is not a picture" if kind else "The request has no Content-Type",
        "Send the bytes of a picture file with Content-Type: image/png or image/jpeg"
        + (f', or {JSON} such as {{"images": ["<Base64>"]}}.' if batches else "."),
    )
