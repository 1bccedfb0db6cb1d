"""How long a percentile is, at the most, after so many samples and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

PERCENTILE: Final = 0.90
"""What MLPerf Inference reports for its single-stream scenario."""
CONFIDENCE: Final = 0.99


def early_stopping_bound(
    samples: Sequence[float], percentile: float = PERCENTILE, confidence: float = CONFIDENCE
) -> float | None:
    """Return MLPerf's early-stopping estimate of a percentile, in the unit of the samples.

    It is the sample that the true percentile lies below with this confidence, whatever the distribution: the one with
    t - 1 samples above it, where t is the largest number of which P(Binomial(n, 1 - percentile) ≤ t) ≤ 1 - confidence.
    None where even t = 1 is too many: the 90th percentile needs 64 samples, the 99th 662. (MLCommons, Inference Rules,
    appendix "Early Stopping Criterion", and loadgen's results.cc.)
    """
    tolerated = tolerated_misses(len(samples), percentile, confidence)
    return float(np.sort(np.asarray(samples))[len(samples) - tolerated]) if tolerated else None


def tolerated_misses(count: int, percentile: float = PERCENTILE, confidence: float = CONFIDENCE) -> int:
    """Return t of `early_stopping_bound` for `count` samples; 0 where there are too few."""
    misses = np.arange(count + 1)
    # log(k!), so that 100,000 samples are as exact as 100.
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    logarithms = (
        factorials[count]
        - factorials
        - factorials[::-1]
        + misses * np.log(1 - percentile)
        + (count - misses) * np.log(percentile)
    )
    at_most = np.cumsum(np.exp(logarithms))
    return max(0, int(np.searchsorted(at_most, 1 - confidence, side="right")) - 1)
