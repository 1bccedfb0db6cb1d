"""From samples to the figures of one artifact, and measurement quality: what disturbed them, and how far they agree."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.board.agent.facts import throttled_since
from edgemnist.board.machine import Watch
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.bench import MAX_TAINTED, Block, Histogram

SAMPLES_FOR: Final = {"p90": 100, "p99": 1_000, "p99.9": 10_000}
"""Samples that a percentile needs: ten beyond it. With fewer it is a matter of luck, and is not given."""
BINS_AN_OCTAVE: Final = 35
"""Bins of the histogram between a latency and its double: each is 2 % wide."""


def summarise(rounds: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return those fields of `Latency` that describe the samples of all rounds together, given in nanoseconds.

    Every sample counts: a slow one is a slow answer that somebody waited for. Percentiles are NumPy's.
    """
    pooled = pool(rounds) / 1e3

    def percentile(name: str, percent: float) -> float | None:
        return float(np.percentile(pooled, percent)) if len(pooled) >= SAMPLES_FOR[name] else None

    mean = float(pooled.mean())
    return {
        "samples": len(pooled),
        "p50_us": float(np.median(pooled)),
        "p90_us": percentile("p90", 90),
        "p99_us": percentile("p99", 99),
        "p999_us": percentile("p99.9", 99.9),
        "mean_us": mean,
        "min_us": float(pooled.min()),
        "cv": float(pooled.std()) / mean if mean else 0.0,
    }


def histogram(rounds: Sequence[Sequence[int]]) -> Histogram:
    """Count the samples of all rounds, given in nanoseconds, in bins of equal width on a logarithmic scale."""
    microseconds = np.maximum(pool(rounds), 1.0) / 1e3
    bins, counts = np.unique(np.floor(np.log2(microseconds) * BINS_AN_OCTAVE), return_counts=True)
    return Histogram(
        edges_us=[round(float(edge), 4) for edge in np.exp2(bins / BINS_AN_OCTAVE)],
        counts=[int(count) for count in counts],
    )


def images_a_second(batch_size: int, rounds: Sequence[Sequence[int]]) -> float:
    """Return the throughput, from the median of the batches' times in nanoseconds."""
    return batch_size / (float(np.median(pool(rounds))) / 1e9)


def pool(rounds: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    """Return the samples of all rounds as one array."""
    return np.concatenate([np.asarray(samples, dtype=np.float64) for samples in rounds])


MAX_SPREAD: Final = 0.10
"""Share by which the p50 of rounds may differ: twice what two runs differ by on a quiet machine. A rare slow call moves
neither the p50 nor the order of the models, and is seen in the high percentiles."""
MAX_CLOCK_CHANGE: Final = 0.05
"""Share by which the clock may differ before and after: more would show in the figures."""
MIN_CPU_SHARE: Final = 0.95
"""Share of the time that the process must have had a CPU: a busy loop on a quiet machine has 99 %."""
MAX_SLOWER: Final = 0.10
"""Share by which the fixed work may take longer than at the quietest moment: on a quiet machine it varies by 2 %."""
SHORTEST_NS: Final = 50_000_000
"""Blocks that take less are not asked for their share: Windows counts in steps of 16 ms."""


def taints(watch: Watch) -> list[str]:
    """Return what disturbed the calls of a block, in words; nothing for a clean one."""
    before, after = watch.before, watch.after
    found: list[str] = []
    if before.firmware is not None and after.firmware is not None:
        found += throttled_since(before.firmware, after.firmware)
    changed = before.khz and after.khz and abs(after.khz / before.khz - 1) > MAX_CLOCK_CHANGE
    if before.khz and after.khz and changed:
        found.append(f"the clock changed from {before.khz / 1000:,.0f} to {after.khz / 1000:,.0f} MHz")
    events = (after.throttle_events or 0) - (before.throttle_events or 0)
    if events > 0:
        found.append(f"the CPU was throttled {count(events, 'time')} because of heat")
    if after.celsius is not None and after.limit_celsius is not None and after.celsius >= after.limit_celsius:
        found.append(f"at {after.celsius:.0f} °C the system slows itself down (limit {after.limit_celsius:.0f} °C)")
    if watch.elapsed >= SHORTEST_NS and watch.cpu_time / watch.elapsed < MIN_CPU_SHARE:
        found.append(f"other processes had the CPU for {percent(1 - watch.cpu_time / watch.elapsed, 0)} of the time")
    return found


def slowness_taints(reference: Sequence[float], quietest: float | None) -> list[str]:
    """Return in words whether the machine was slower around a block than when it was quietest so far.

    `reference` are the times of the fixed work around the block, `quietest` its shortest one, in the same unit.
    """
    slower = max(reference) / quietest - 1 if quietest else 0.0
    if slower <= MAX_SLOWER:
        return []
    return [f"the fixed work took {percent(slower, 0)} longer than when the machine was quietest"]


def quieter(reference: Sequence[float], quietest: float | None) -> float:
    """Return the shortest time of the fixed work, of those around a block and the shortest so far."""
    return min([*reference, *([] if quietest is None else [quietest])])


def quality_warnings(samples: int, blocks: Sequence[Block]) -> list[str]:
    """Return what is to be said about the quality of one model's figures, in words; nothing for a good measurement."""
    found = [
        f"{name} is left out: it needs {needed:,} samples, but there are {samples:,}"
        for name, needed in SAMPLES_FOR.items()
        # Nobody expects the 99.9th percentile of a short run.
        if samples < needed and name != "p99.9"
    ]
    if (differing := spread_of_rounds(blocks)) > MAX_SPREAD:
        found.append(f"the p50 of the rounds differs by {percent(differing, 0)}")
    tainted = [block for block in blocks if block.taints]
    if len(tainted) > MAX_TAINTED * len(blocks):
        # The same reason comes with other figures each time: one of them will do.
        reasons = {re.sub(r"\d+", "", reason): reason for block in tainted for reason in block.taints}
        found.append(f"{len(tainted)} of {count(len(blocks), 'round')} tainted: {'; '.join(reasons.values())}")
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
