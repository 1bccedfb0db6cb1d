"""Reading what a request brings: never more than allowed, and never for ever."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

import msgspec

from edgemnist.serve.config import Limits
from edgemnist.serve.faults import RefusedError, bad_request, too_large, too_slow
from edgemnist.serve.limits import Held
from edgemnist.serve.results import PredictBody

if TYPE_CHECKING:
    from starlette.requests import Request

JSON: Final = "application/json"
ANY_BYTES: Final = "application/octet-stream"


class GoneError(Exception):
    """The client went away before its body was complete: there is nobody to answer."""


class Body:
    """The body of one request; as a context manager, which gives the memory back."""

    def __init__(self, request: Request, limits: Limits, held: Held) -> None:
        self._request, self._limits, self._held = request, limits, held
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.give_back(self._taken)

    async def read(self) -> bytes:
        """Return the body. Raises RefusedError where it is too large or too slow."""
        announced = self._request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limits.max_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                while await self._receive(chunks):
                    pass
        except TimeoutError:
            raise too_slow("The body did not arrive in time") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _receive(self, chunks: list[bytes]) -> bool:
        async with asyncio.timeout(self._limits.stall_timeout_s):
            message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        if chunk := message.get("body", b""):
            if self._taken + len(chunk) > self._limits.max_bytes:
                raise self._too_large()
            self._held.take(len(chunk))
            self._taken += len(chunk)
            chunks.append(chunk)
        return bool(message.get("more_body", False))

    def _too_large(self) -> RefusedError:
        return too_large(
            f"The body has more than {self._limits.max_bytes:,} bytes, which is the limit",
            "Scale the picture down, or send fewer at once.",
        )


def content_type(request: Request, *, batches: bool) -> str:
    """Return the media type of a body, without parameters. Raises RefusedError for one that nothing is made of here."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == ANY_BYTES or (batches and kind == JSON):
        return kind
    raise RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-type",
        f"A body of type {kind!r} is no picture" if kind else "The request does not say what its body is",
        "Send the bytes of a picture file with Content-Type: image/png or image/jpeg"
        + (f', or {JSON} such as {{"images": ["<Base64>"]}}.' if batches else "."),
    )


def decode_batch(body: bytes, limit: int) -> list[bytes]:
    """Return the picture files of a JSON body. Raises RefusedError where it is no such body, empty or too long."""
    try:
        images = msgspec.json.decode(body, type=PredictBody).images
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(
            f"The body is not the JSON that is expected: {error}",
            'It reads: {"images": ["<Base64 of a picture file>"]}',
        ) from error
    if not images:
        raise bad_request("The batch has no images", "Send at least one.")
    if len(images) > limit:
        raise too_large(f"The batch has {len(images):,} images, and the limit is {limit}", "Send fewer at once.")
    return images
