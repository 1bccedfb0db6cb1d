"""From samples to the figures of one model, and what speaks against them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.board.agent.facts import throttled_since
from edgemnist.board.machine import Conditions
from edgemnist.ground.formatting import count
from edgemnist.ground.results.bench import Histogram

SAMPLES_FOR: Final = {90: 100, 99: 1_000}
"""Samples that a percentile needs: ten beyond it. With fewer it is a matter of luck, and is not given."""
BINS_AN_OCTAVE: Final = 35
"""Bins of the histogram between a latency and its double: each is 2 % wide."""
MAX_CLOCK_CHANGE: Final = 0.05
"""Share by which the clock may differ before and after: more would show in the figures."""
MAX_WAITED: Final = 0.05
"""Share of the time that other processes may have the CPU: a quiet machine leaves it 1 %."""


def percentiles(samples: Sequence[int]) -> dict[str, Any]:
    """Return those fields of `Latency` that describe the samples of all rounds together, given in nanoseconds.

    Every sample counts: a slow one is a slow answer that somebody waited for. Percentiles are NumPy's.
    """
    taken = np.asarray(samples, np.float64) / 1e3

    def percentile(percent: int) -> float | None:
        return float(np.percentile(taken, percent)) if len(taken) >= SAMPLES_FOR[percent] else None

    return {
        "samples": len(taken), "p50_us": float(np.median(taken)), "p90_us": percentile(90), "p99_us": percentile(99),
        "histogram": histogram(taken),
    }  # fmt: skip


def histogram(microseconds: npt.NDArray[np.float64]) -> Histogram:
    """Count samples in bins of equal width on a logarithmic scale."""
    bins, counts = np.unique(np.floor(np.log2(np.maximum(microseconds, 1e-3)) * BINS_AN_OCTAVE), return_counts=True)
    return Histogram(
        edges_us=[round(float(edge), 4) for edge in np.exp2(bins / BINS_AN_OCTAVE)],
        counts=[int(count) for count in counts],
    )


def disturbances(before: Conditions, after: Conditions) -> list[str]:
    """Return what disturbed the machine between two moments, in words."""
    found: list[str] = []
    if before.firmware is not None and after.firmware is not None:
        found += throttled_since(before.firmware, after.firmware)
    if before.khz and after.khz and abs(after.khz / before.khz - 1) > MAX_CLOCK_CHANGE:
        found.append("its clock changed")
    events = (after.throttle_events or 0) - (before.throttle_events or 0)
    if events > 0:
        found.append(f"it was throttled {count(events, 'time')} because of heat")
    if after.celsius is not None and after.limit_celsius is not None and after.celsius >= after.limit_celsius:
        found.append(f"at {after.celsius:.0f} °C it slows itself down")
    return found


def host_warnings(host: Mapping[str, Any]) -> list[str]:
    """Return what is to be said about all figures of a host, from its facts (see `host_facts`)."""
    if host.get("governor") != "powersave":
        return []
    remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    return [f"the governor is powersave, which may keep the clock low: {remedy}"]
