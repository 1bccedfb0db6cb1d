"""How much clients may ask for: requests a second, and bytes in memory."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from edgemnist.serve.refusals import busy

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


class BodyMemory:
    """Counts the bytes of all bodies in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.bytes = 0

    def take(self, size: int) -> None:
        """Count bytes. Raises RefusedError where they are too many."""
        if self.bytes + size > self._limit:
            raise busy("The service has no memory for another body at the moment")
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
