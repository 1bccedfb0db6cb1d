"""How much clients may ask for: requests a second, bytes in memory, large pictures at once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic
from typing import Any, Final, ParamSpec, TypeVar

from edgemnist.serve.faults import busy

P = ParamSpec("P")
T = TypeVar("T")

MAX_CLIENTS: Final = 10_000
"""Whose rates are kept in mind; the one that was silent for longest is forgotten first."""
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
        """Count a request, and return 0 where it is allowed, else in how many seconds the next one will be."""
        if self._rate == 0:
            return 0.0
        key, now = _network(client), self._clock()
        level, then = self._buckets.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) / self._rate


@functools.lru_cache(maxsize=1024)
def _network(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the 64 bits of a network that one host has to itself."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


class Held:
    """Counts the bytes of all bodies that are in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.bytes = 0

    def take(self, size: int) -> None:
        """Count bytes. Raises RefusedError where they are too many."""
        if self.bytes + size > self._limit:
            raise busy("The service has no memory left for this body at the moment")
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


class Pool:
    """Threads for what takes longer than a few milliseconds, and a queue of limited length in front of them."""

    def __init__(self, concurrency: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="work")
        self._most = concurrency + waiting
        self._jobs: set[Future[Any]] = set()

    @property
    def jobs(self) -> int:
        """Return how many run or wait."""
        return len(self._jobs)

    async def run(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Call a function in a thread. Raises RefusedError where too many are waiting already."""
        if self.jobs >= self._most:
            raise busy("All places for large pictures are taken")
        future = self._executor.submit(functools.partial(function, *arguments, **options))
        self._jobs.add(future)
        # A client that goes away ends the wait, not the work, which then still takes its place.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: self._done(future, loop))
        return await asyncio.wrap_future(future)

    def _done(self, future: Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        # Where the loop has been closed meanwhile, nobody counts any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._jobs.discard, future)

    def close(self, patience_s: float) -> bool:
        """Drop what waits, and give what runs so much time. Return whether it has ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not wait(self._jobs, patience_s).not_done
