"""Which of the networks that were tried are the best."""

from __future__ import annotations

from collections.abc import Sequence

from edgemnist.search.limits import Limits
from edgemnist.search.study import Tried


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
