"""How much clients may ask for: requests a second, bytes in memory, and the size and time of a body."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final

from edgemnist.serve.config import Limits
from edgemnist.serve.refusals import RefusedError, busy, too_large, too_slow, unsupported

if TYPE_CHECKING:
    from starlette.requests import Request

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


def no_room() -> RefusedError:
    """Return the answer to a body for which the memory is full."""
    return busy("The service has no memory for another body at the moment")


class BodyMemory:
    """Counts the bytes of all bodies in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.bytes = 0

    def take(self, size: int) -> None:
        """Count bytes. Raises RefusedError where they are too many."""
        if self.bytes + size > self._limit:
            raise no_room()
        self.bytes += size

    def give_back(self, size: int) -> None:
        """Forget bytes that were taken."""
        self.bytes -= size


class Memory:
    """Lets threads decode pictures only as long as they fit into memory together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, at most all, and have them for as long as the body runs."""
        size = min(size, self.limit)
        with self._changed:
            self._changed.wait_for(lambda: size <= self._free)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


JSON: Final = "application/json"
ANY_BYTES: Final = "application/octet-stream"
MAX_DIGITS: Final = 18
"""Of a body's length in bytes."""


class GoneError(Exception):
    """The client went away before it was answered."""


class MemoryFile:
    """A file in memory, which a worker reads without a copy of its own; elsewhere than on Linux, a temporary file.

    It is closed when nobody refers to it any more: a thread that is about to send it must not send what has its number
    by then.
    """

    def __init__(self) -> None:
        """Raises OSError if too many files are open."""
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("body")
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        self.size = 0

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            os.close(self.descriptor)

    def append(self, data: bytes) -> None:
        """Write at the end. Raises OSError if the memory or the disk is full."""
        rest = memoryview(data)
        while rest:
            written = os.write(self.descriptor, rest)
            self.size += written
            rest = rest[written:]

    def read(self) -> bytes:
        """Return all of it."""
        return os.pread(self.descriptor, self.size, 0)

    def clear(self) -> None:
        """Give the memory back, whoever still refers to it."""
        os.ftruncate(self.descriptor, 0)
        self.size = 0


class Body(contextlib.AbstractContextManager["Body"]):
    """The body of one request; as a context manager, which gives the memory back."""

    def __init__(self, request: Request, limits: Limits, memory: BodyMemory) -> None:
        self._request, self._limits, self._memory = request, limits, memory
        self._taken = 0
        self._file: MemoryFile | None = None

    def __exit__(self, *exception: object) -> None:
        self._memory.give_back(self._taken)
        # Whoever still refers to it, in a task that was cancelled or in a worker that is killed, has no use for it.
        if self._file is not None:
            self._file.clear()

    async def read(self) -> MemoryFile:
        """Return the body, until the context ends. Raises RefusedError where it is too large or too slow."""
        announced = self._request.headers.get("content-length", "").lstrip("0")
        # Python does not take thousands of digits for a number.
        if announced.isdecimal() and (len(announced) > MAX_DIGITS or int(announced) > self._limits.max_bytes):
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                while await self._receive():
                    pass
            return self._made()
        except TimeoutError:
            raise too_slow("The body did not arrive in time") from None
        except OSError:
            raise no_room() from None

    def _made(self) -> MemoryFile:
        # With the first byte: many connections that send none are to cost no open file.
        if self._file is None:
            self._file = MemoryFile()
        return self._file

    async def _receive(self) -> bool:
        async with asyncio.timeout(self._limits.stall_timeout_s):
            message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        if chunk := message.get("body", b""):
            if self._taken + len(chunk) > self._limits.max_bytes:
                raise self._too_large()
            self._memory.take(len(chunk))
            self._taken += len(chunk)
            self._made().append(chunk)
        return bool(message.get("more_body", False))

    def _too_large(self) -> RefusedError:
        return too_large(
            f"The body has more than {self._limits.max_bytes:,} bytes, which is the limit",
            "Scale the picture down, or send fewer at once.",
        )


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
    raise unsupported(
        f"A body of type {kind!r} is not a picture" if kind else "The request has no Content-Type",
        "Send the bytes of a picture file with Content-Type: image/png or image/jpeg"
        + (f', or {JSON} such as {{"images": ["<Base64>"]}}.' if batches else "."),
    )
