"""From samples to the figures of one artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Latencies of single images, in microseconds."""

    samples: int
    p50: float
    p90: float
    p99: float
    mean: float
    min: float


def summarise(rounds: Sequence[Sequence[int]]) -> Distribution:
    """Describe the samples of all rounds together, given in nanoseconds.

    Every sample counts: a slow one is a slow answer that somebody waited for. Percentiles are interpolated linearly
    between the two nearest samples (method 7 of Hyndman and Fan, NumPy's default).
    """
    pooled = pool(rounds) / 1e3
    p50, p90, p99 = (float(value) for value in np.percentile(pooled, [50, 90, 99]))
    return Distribution(
        samples=len(pooled), p50=p50, p90=p90, p99=p99, mean=float(pooled.mean()), min=float(pooled.min())
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
