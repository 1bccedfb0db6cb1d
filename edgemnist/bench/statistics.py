"""From samples to the figures of one artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.results.bench import CallSteps, Histogram

SAMPLES_FOR: Final = {"p90": 100, "p99": 1_000, "p99.9": 10_000}
"""Samples that a percentile needs: ten beyond it. With fewer it is a matter of luck, and is not given."""
BINS_AN_OCTAVE: Final = 35
"""Bins of the histogram between a latency and its double: each is 2 % wide."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Latencies of single images, in microseconds; None for a percentile that has too few samples."""

    samples: int
    p50: float
    p90: float | None
    p99: float | None
    p999: float | None
    mean: float
    min: float
    cv: float
    """Standard deviation over mean."""


def summarise(rounds: Sequence[Sequence[int]]) -> Distribution:
    """Describe the samples of all rounds together, given in nanoseconds.

    Every sample counts: a slow one is a slow answer that somebody waited for. Percentiles are interpolated linearly
    between the two nearest samples (method 7 of Hyndman and Fan, NumPy's default).
    """
    pooled = pool(rounds) / 1e3

    def percentile(name: str, percent: float) -> float | None:
        return float(np.percentile(pooled, percent)) if len(pooled) >= SAMPLES_FOR[name] else None

    mean = float(pooled.mean())
    return Distribution(
        samples=len(pooled),
        p50=float(np.median(pooled)),
        p90=percentile("p90", 90),
        p99=percentile("p99", 99),
        p999=percentile("p99.9", 99.9),
        mean=mean,
        min=float(pooled.min()),
        cv=float(pooled.std()) / mean if mean else 0.0,
    )


def histogram(rounds: Sequence[Sequence[int]]) -> Histogram:
    """Count the samples of all rounds, given in nanoseconds, in bins of equal width on a logarithmic scale."""
    microseconds = np.maximum(pool(rounds), 1.0) / 1e3
    bins, counts = np.unique(np.floor(np.log2(microseconds) * BINS_AN_OCTAVE), return_counts=True)
    return Histogram(
        edges_us=[round(float(edge), 4) for edge in np.exp2(bins / BINS_AN_OCTAVE)],
        counts=[int(count) for count in counts],
    )


def call_steps(rounds: Sequence[Mapping[str, Sequence[int]]], p50: float) -> CallSteps | None:
    """Return where the time of a call goes, from samples in nanoseconds; None where the steps were not measured.

    Each step was timed alone, with one reading of the clock like the call as a whole, which has its own once: so the
    time of a step that does nothing is taken from each of them. `p50` is of the whole call, in microseconds.
    """
    if not all(rounds):
        return None
    medians = {name: float(np.median(pool([steps[name] for steps in rounds]))) / 1e3 for name in rounds[0]}
    prepare, invoke, finish, nothing = (medians[name] for name in ("prepare", "invoke", "finish", "nothing"))
    parts = [max(0.0, one - nothing) for one in (prepare, invoke, finish)]
    return CallSteps(
        prepare_us=parts[0], invoke_us=parts[1], finish_us=parts[2], overhead_us=max(0.0, p50 - nothing - sum(parts))
    )


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return float(np.median(values))


def images_a_second(batch_size: int, rounds: Sequence[Sequence[int]]) -> float:
    """Return the throughput, from the median of the batches' times in nanoseconds."""
    return batch_size / (float(np.median(pool(rounds))) / 1e9)


def pool(rounds: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    """Return the samples of all rounds as one array."""
    return np.concatenate([np.asarray(samples, dtype=np.float64) for samples in rounds])
