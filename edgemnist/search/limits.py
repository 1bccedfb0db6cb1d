"""Limits on costs and accuracy, the words that users write them in, and which networks are best within them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgemnist.errors import UsageError, check_range
from edgemnist.formatting import microseconds, percent

if TYPE_CHECKING:
    from edgemnist.search.study import Tried
    from edgemnist.train.network import Network

_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([^\s\d.]*)\s*")
SIZES: Final = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "kib": 2**10, "m": 1e6, "mb": 1e6, "mib": 2**20}
"""Bytes in each unit of a size; as everywhere, 1 KB is 1,000 bytes."""
TIMES: Final = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds in each unit of a time."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a network costs."""

    bytes: int
    """Bytes of the weights and biases."""
    ram_bytes: int
    """Static memory of the C file."""
    multiplications: int
    """Multiplications for one image, if none is skipped."""
    p50_us: float | None = None
    """Median latency of one image; None if it was not measured."""

    @classmethod
    def of(cls, network: Network, classes: int) -> Costs:
        """Return what is known of a network before it is trained."""
        from edgemnist.search.costs import c_ram_bytes

        return cls(
            bytes=network.weight_bytes(classes),
            ram_bytes=c_ram_bytes(network, classes),
            multiplications=network.multiplications(classes),
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How accurate a network must be, and what it may cost; None is no limit. Raises UsageError if out of range."""

    accuracy: float | None = None
    """Least share of the images, 0 to 1, that it gets right."""
    bytes: int | None = None
    ram_bytes: int | None = None
    p50_us: float | None = None

    def __post_init__(self) -> None:
        check_range("--accuracy", None if self.accuracy is None else 100 * self.accuracy, above=1, most=100)
        check_range("--max-bytes", self.bytes, least=1)
        check_range("--max-ram", self.ram_bytes, least=1)
        check_range("--max-p50", self.p50_us, above=0)

    @classmethod
    def of(
        cls,
        *,
        accuracy: str | None = None,
        max_bytes: str | None = None,
        max_ram: str | None = None,
        max_p50: str | None = None,
    ) -> Limits:
        """Return the limits that options write as `99`, `16k`, `2k` and `2us`. Raises UsageError for other units."""
        share = read_quantity("--accuracy", accuracy, {"": 1.0, "%": 1.0}, "99", "per cent")
        if share is not None and share <= 1:
            raise UsageError(
                f"--accuracy is in per cent, and {accuracy} is almost nothing", hint=f"Did you mean {100 * share:g}?"
            )
        size = read_quantity("--max-bytes", max_bytes, SIZES, "16k", "bytes, k, KiB, M or MiB")
        ram = read_quantity("--max-ram", max_ram, SIZES, "2k", "bytes, k, KiB, M or MiB")
        return cls(
            accuracy=None if share is None else share / 100,
            bytes=None if size is None else int(size),
            ram_bytes=None if ram is None else int(ram),
            p50_us=read_quantity("--max-p50", max_p50, TIMES, "2us", "ns, us, ms or s"),
        )

    def excesses(self, costs: Costs) -> dict[str, float]:
        """Return by how much of the limit each cost exceeds it, 0 or less within; without those that are not known."""
        pairs = {
            "bytes": (costs.bytes, self.bytes),
            "RAM": (costs.ram_bytes, self.ram_bytes),
            "p50": (costs.p50_us, self.p50_us),
        }
        return {
            name: cost / limit - 1 for name, (cost, limit) in pairs.items() if cost is not None and limit is not None
        }

    def allow(self, costs: Costs) -> bool:
        """Return whether no known cost exceeds its limit."""
        return all(excess <= 0 for excess in self.excesses(costs).values())

    def misses(self, costs: Costs, accuracy: float) -> list[str]:
        """Return each limit that a trained network misses, in words."""
        found = []
        if self.accuracy is not None and accuracy < self.accuracy:
            found.append(f"{percent(accuracy)} accurate, but {percent(self.accuracy)} was asked for")
        if self.bytes is not None and costs.bytes > self.bytes:
            found.append(f"{costs.bytes:,} bytes, but only {self.bytes:,} are allowed")
        if self.ram_bytes is not None and costs.ram_bytes > self.ram_bytes:
            found.append(f"{costs.ram_bytes:,} bytes of RAM, but only {self.ram_bytes:,} are allowed")
        if self.p50_us is not None and costs.p50_us is not None and costs.p50_us > self.p50_us:
            found.append(f"{microseconds(costs.p50_us)} a call, but only {microseconds(self.p50_us)} is allowed")
        return found


def read_quantity(option: str, text: str | None, units: dict[str, float], example: str, names: str) -> float | None:
    """Return a number in the base unit of `units`. Raises UsageError for text that is no number with one of them."""
    if text is None:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} must be a number with a unit, such as {example} (got {text})")
    unit = units.get(found[2].lower())
    if unit is None:
        what = f"in {found[2]}" if found[2] else "without a unit"
        raise UsageError(f"{option} cannot be given {what} (got {text})", hint=f"Its units are {names}: {example}.")
    return float(found[1]) * unit


def best_so_far(tried: Sequence[Tried], limits: Limits) -> Tried | None:
    """Return the smallest network that is accurate enough, or else the most accurate one; None if none was trained."""
    trained = [one for one in tried if not one.stopped]
    if not trained:
        return None
    enough = [one for one in trained if limits.accuracy is not None and one.accuracy >= limits.accuracy]
    if enough:
        return min(enough, key=lambda one: (one.costs.bytes, -one.accuracy))
    return max(trained, key=lambda one: (one.accuracy, -one.costs.bytes))


def choose(tried: Sequence[Tried], limits: Limits) -> dict[str, list[str]]:
    """Return the networks that are worth a whole training, each with the respects in which it is the best.

    These are the most accurate one and, of those that are accurate enough, the smallest, the fastest and the one with
    the least RAM. Without a limit of the accuracy they are the most accurate of each half of the bytes. If none is
    accurate enough, only the most accurate one is returned.
    """
    trained = [one for one in tried if not one.stopped and limits.allow(one.costs)]
    chosen: dict[str, list[str]] = {}

    def add(one: Tried, reason: str) -> None:
        chosen.setdefault(one.network, []).append(reason)

    if not trained:
        return chosen
    best = max(trained, key=lambda one: (one.accuracy, -one.costs.bytes))
    add(best, "accuracy")
    if limits.accuracy is None:
        for part in (2, 4):
            smaller = [one for one in trained if one.costs.bytes * part <= best.costs.bytes]
            if smaller:
                add(max(smaller, key=lambda one: (one.accuracy, -one.costs.bytes)), f"1/{part} of the bytes")
        return chosen
    enough = [one for one in trained if one.accuracy >= limits.accuracy]
    if enough:
        add(min(enough, key=lambda one: (one.costs.bytes, -one.accuracy)), "bytes")
        if all(one.costs.p50_us is not None for one in enough):
            add(min(enough, key=lambda one: (one.costs.p50_us or 0, -one.accuracy)), "p50")
        else:
            add(min(enough, key=lambda one: (one.costs.ram_bytes, -one.accuracy)), "RAM")
    return chosen
