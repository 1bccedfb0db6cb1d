"""How much clients may send: requests a second, and the size, time and type of a body."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import IO, TYPE_CHECKING, Final

from edgemnist.ground.web.refusals import busy, too_large, too_slow, unsupported

if TYPE_CHECKING:
    from starlette.requests import Request

    from edgemnist.ground.web.config import Limits

MAX_CLIENTS: Final = 10_000
"""Clients whose rates are remembered; the one that was silent for longest is forgotten first."""
BURST_S: Final = 2.0
"""A client that was silent may ask as often at once as the rate allows in this time."""


class RateLimiter:
    """A token bucket for each client."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        """`rate` is in requests a second; 0 allows everything."""
        self._rate = rate
        self._burst = max(1.0, rate * BURST_S)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Count a request. Return 0 if it is allowed, else the seconds until the next one is."""
        if self._rate == 0:
            return 0.0
        key, now = network_of(client), self._clock()
        level, then = self._buckets.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) / self._rate


@functools.lru_cache(maxsize=1024)
def network_of(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 network that an IPv6 host has to itself."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


JSON: Final = "application/json"
ANY_BYTES: Final = "application/octet-stream"
MAX_FIGURES: Final = 18
"""Of the decimal length of a body, in bytes: Python does not take thousands of them for a number."""


def memory_file() -> IO[bytes]:
    """Return a file in memory, which another process reads without a copy of its own; a temporary one if not on Linux.

    Raises OSError if too many files are open.
    """
    return os.fdopen(os.memfd_create("body"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


class Bodies:
    """Receives bodies, and counts the bytes of all that are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.bytes = 0

    @contextlib.asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[IO[bytes]]:
        """Give the body of a request as a file at its start, until the context ends.

        Raises RefusedError if the body is too large or too slow, or if there is no memory for it, and ClientDisconnect
        if the client leaves.
        """
        announced = request.headers.get("content-length", "").lstrip("0")
        if announced.isdecimal() and (len(announced) > MAX_FIGURES or int(announced) > self._limits.max_bytes):
            raise self._too_large()
        taken = 0
        file: IO[bytes] | None = None
        try:
            try:
                async with asyncio.timeout(self._limits.body_timeout_s):
                    async for chunk in request.stream():
                        if taken + len(chunk) > self._limits.max_bytes:
                            raise self._too_large()
                        if self.bytes + len(chunk) > self._limits.max_held_bytes:
                            raise _no_room()
                        self.bytes += len(chunk)
                        taken += len(chunk)
                        # With the first byte: many connections that send none are to cost no open file.
                        file = file or memory_file()
                        file.write(chunk)
                file = file or memory_file()
                file.seek(0)
            except TimeoutError:
                raise too_slow("The body did not arrive in time") from None
            except OSError:
                raise _no_room() from None
            yield file
        finally:
            self.bytes -= taken
            if file is not None:
                # A process that still has it open, and is being killed, has no use for its contents.
                file.truncate(0)
                file.close()

    def _too_large(self) -> Exception:
        return too_large(
            f"The body has more than {self._limits.max_bytes:,} bytes, which is the limit",
            "Scale the picture down, or send fewer at once.",
        )


def _no_room() -> Exception:
    return busy("The service has no memory for another body at the moment")


def media_type(request: Request) -> str:
    """Return the media type that a request announces, in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def content_type(request: Request, *, batches: bool) -> str:
    """Return the media type of a body, without parameters.

    Raises RefusedError for neither a picture nor JSON, and for a body that was compressed on its way: a megabyte of
    gzip would be a gigabyte here.
    """
    encodings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if encoded := [name.strip() for name in encodings if name.strip() not in {"", "identity"}]:
        raise unsupported(
            f"A body with Content-Encoding: {', '.join(encoded)[:40]} is not accepted",
            "Send it uncompressed, without a Content-Encoding header.",
        )
    kind = media_type(request)
    if kind.startswith("image/") or kind == ANY_BYTES or (batches and kind == JSON):
        return kind
    wrong = f"A body of type {kind!r} is {'neither a picture nor JSON' if batches else 'not a picture'}"
    raise unsupported(
        wrong if kind else "The request has no Content-Type",
        "Send the bytes of a picture file with Content-Type: image/png or image/jpeg"
        + (f', or {JSON} such as {{"images": ["<Base64>"]}} or {{"inputs": [[0.5, 2]]}}.' if batches else "."),
    )
