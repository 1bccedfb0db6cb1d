"""Measurement quality: what disturbed a measurement, and what its own samples say against it."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgemnist.agent.facts import throttled_since
from edgemnist.bench.statistics import SAMPLES_FOR, Distribution
from edgemnist.machine import Conditions, Watch
from edgemnist.results.bench import Block

MAX_SPREAD: Final = 0.10
"""Share by which the p50 of rounds may differ: twice what two runs differ by on a quiet machine. A rare slow call moves
neither the p50 nor the order of the models, and is seen in the high percentiles."""
MAX_TAINTED: Final = 0.5
"""Share of the rounds that may be tainted: the median over the rounds rests on the others."""
MAX_CLOCK_CHANGE: Final = 0.05
"""Share by which the clock may differ before and after: more would show in the figures."""
MIN_CPU_SHARE: Final = 0.95
"""Share of the time that the process must have had a CPU: a busy loop on a quiet machine has 99 %."""
MAX_SLOWER: Final = 0.10
"""Share by which the fixed work may take longer than at the quietest moment: on a quiet machine it varies by 2 %."""
SHORTEST_NS: Final = 50_000_000
"""Blocks that are awake for less are not asked for their share: Windows counts in steps of 16 ms."""


def taints(watch: Watch) -> list[str]:
    """Return what disturbed the calls of a block, in words; nothing for a clean one."""
    before, after = watch.before, watch.after
    return [
        *_firmware_taints(before.firmware, after.firmware),
        # The clock of a CPU that sleeps falls, and that is what such a block is about.
        *(_clock_taints(before, after) if watch.slept <= watch.elapsed / 2 else []),
        *_heat_taints(before, after),
        *_share_taints(watch),
    ]


def slowness_taints(reference: Sequence[float], quietest: float | None) -> list[str]:
    """Return in words whether the machine was slower around a block than when it was quietest so far.

    `reference` are the times of the fixed work around the block, `quietest` its shortest one, in the same unit.
    """
    slower = max(reference) / quietest - 1 if quietest else 0.0
    return (
        [f"fixed work took {100 * slower:.0f} % longer than when the machine was quietest"]
        if slower > MAX_SLOWER
        else []
    )


def quieter(reference: Sequence[float], quietest: float | None) -> float:
    """Return the shortest time of the fixed work, of those around a block and the shortest so far."""
    return min([*reference, *([] if quietest is None else [quietest])])


def _firmware_taints(before: int | None, after: int | None) -> list[str]:
    if before is None or after is None:
        return []
    return throttled_since(before, after)


def _clock_taints(before: Conditions, after: Conditions) -> list[str]:
    if not before.khz or not after.khz or abs(after.khz / before.khz - 1) <= MAX_CLOCK_CHANGE:
        return []
    return [f"the clock changed from {before.khz / 1000:,.0f} to {after.khz / 1000:,.0f} MHz"]


def _heat_taints(before: Conditions, after: Conditions) -> list[str]:
    found = []
    events = (after.throttle_events or 0) - (before.throttle_events or 0)
    if events > 0:
        found.append(f"the CPU throttled for its heat {events} time{'s' if events > 1 else ''}")
    if after.celsius is not None and after.limit_celsius is not None and after.celsius >= after.limit_celsius:
        found.append(f"at {after.celsius:.0f} °C the system slows itself down (limit {after.limit_celsius:.0f} °C)")
    return found


def _share_taints(watch: Watch) -> list[str]:
    awake = watch.elapsed - watch.slept
    if awake < SHORTEST_NS:
        return []
    share = watch.cpu_time / awake
    if share >= MIN_CPU_SHARE:
        return []
    return [f"other processes had the CPU for {100 * (1 - share):.0f} % of the time"]


def quality_warnings(single: Distribution, blocks: Sequence[Block]) -> list[str]:
    """Return what is to be said about the quality of one model's figures, in words; nothing for a good measurement."""
    found = [
        f"{name} is not given: it needs {needed:,} samples, and there are {single.samples:,}"
        for name, needed in SAMPLES_FOR.items()
        # Nobody expects the 99.9th percentile of a short run.
        if single.samples < needed and name != "p99.9"
    ]
    if (differing := spread_of_rounds(blocks)) > MAX_SPREAD:
        found.append(f"the rounds differ by {100 * differing:.0f} % in p50")
    tainted = [block for block in blocks if block.taints]
    if len(tainted) > MAX_TAINTED * len(blocks):
        # The same reason comes with other figures each time: one of them will do.
        reasons = {re.sub(r"\d+", "", reason): reason for block in tainted for reason in block.taints}
        found.append(f"{len(tainted)} of {len(blocks)} rounds are tainted: {'; '.join(reasons.values())}")
    return found


def spread_of_rounds(blocks: Sequence[Block]) -> float:
    """Return the share by which the slowest third of the rounds is above the fastest, in p50.

    A third is every third round, and its p50 the median of theirs: of 15 rounds some differ much by chance, and what
    counts is whether the figure that is made of them would differ.
    """
    medians = [statistics.median(third) for start in range(3) if (third := [b.p50_us for b in blocks[start::3]])]
    return max(medians) / min(medians) - 1 if medians and min(medians) > 0 else 0.0


def host_warnings(host: Mapping[str, Any]) -> list[str]:
    """Return what is to be said about all figures of a host, from its facts (see `host_facts`)."""
    if host.get("governor") != "powersave":
        return []
    remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    return [f"the governor is powersave, which may keep the clock low: {remedy}"]
