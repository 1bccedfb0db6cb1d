"""Reading what a request brings: never more than allowed, and never for ever."""

from __future__ import annotations

import asyncio
import ctypes
import io
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

import msgspec
from PIL import Image

from edgemnist.images.decode import FORMATS
from edgemnist.results.serve import PredictBody
from edgemnist.serve.config import Limits
from edgemnist.serve.faults import RefusedError, bad_request, too_large, too_slow
from edgemnist.serve.limits import Held

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


_STORED: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a pixel in Pillow's memory by mode; 4 in any other."""
LARGE_BYTES: Final = 2**25
"""Of decoded pictures, after which the memory is worth being given back."""


@dataclass(frozen=True)
class Weight:
    """What the pictures of a request take."""

    pixels: int
    """Of all of them; 0 for one that has no header."""
    bytes: int
    """Of memory, to decode the largest."""


def weigh(pictures: Sequence[bytes], limits: Limits) -> Weight:
    """Return what pictures take. Raises RefusedError where that is more than the limits allow."""
    pixels = heaviest = 0
    for picture in pictures:
        try:
            with Image.open(io.BytesIO(picture), formats=FORMATS) as image:
                own = image.width * image.height
                pixels += own
                heaviest = max(heaviest, own * _bytes_per_pixel(image))
        # The warning is an error where Python was told so.
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            pixels = limits.max_pixels + 1
        except Exception:  # noqa: BLE001, S112 - what is wrong with it is told by whoever decodes it
            continue
        if pixels > limits.max_pixels:
            raise too_large(
                f"The request has more than {limits.max_pixels:,} pixels, which is the limit",
                "Scale the picture down, or crop it.",
            )
        if heaviest > limits.decoded_bytes:
            raise too_large(
                f"The picture takes more than {limits.decoded_bytes:,} bytes to decode, which is the limit",
                "Scale it down, or save it as PNG or as a JPEG that is not progressive.",
            )
    return Weight(pixels, heaviest)


def _bytes_per_pixel(image: Image.Image) -> int:
    """Return what decoding takes at most: measured, and for each format the reason."""
    stored = _STORED.get(image.mode, 4)
    if image.format == "WEBP":
        # Two canvases of the decoder, what it hands over, and the picture.
        return 4 * stored
    if image.info.get("progressive"):
        # All coefficients, of two bytes each, until the last scan has come.
        return 3 * stored
    # A strip of a TIFF may be all of it, and a picture that EXIF turns is there twice.
    return 2 * stored


def forget_locals(error: BaseException | None) -> None:
    """Let go of the pictures that the functions had in hand through which an error has come."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def give_back_memory() -> None:
    """Return what large pictures took to the system: the C library keeps it for the next one, which may never come."""
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    # Of glibc only.
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
