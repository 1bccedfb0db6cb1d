"""Whether a difference in accuracy means anything, and whether confidences still do.

The tests are SciPy's. Where it is not installed, as on a board, they give None: the counts are there either way.
"""

from __future__ import annotations

import importlib.util
from typing import Final

import numpy as np

from edgemnist.arrays import Labels, Probabilities
from edgemnist.results.verify import Interval

CONFIDENCE: Final = 0.95
SIGNIFICANT: Final = 0.05
"""A p-value below this is taken to mean something: chance alone would do it once in 20 times."""
ECE_BINS: Final = 15
"""Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, section 5."""


def has_scipy() -> bool:
    """Return whether SciPy is installed. Imports nothing."""
    return importlib.util.find_spec("scipy") is not None


def load_statistics() -> None:
    """Import SciPy where it is installed, which takes about a second: before a clock starts."""
    if has_scipy():
        import scipy.stats  # noqa: F401 - only so that it is there


def wilson_interval(successes: int, trials: int) -> Interval | None:
    """Return Wilson's 95 % interval of a share (Wilson 1927), or None without SciPy.

    Unlike the textbook's ± it stays within 0 and 1 and holds for shares as close to 1 as accuracies are.
    """
    if not has_scipy():
        return None
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Interval(low=float(found.low), high=float(found.high))


def mcnemar_p(broken: int, fixed: int) -> float | None:
    """Return the p-value of McNemar's exact test, or None without SciPy.

    Of two models that answer the same images, only those count that one gets right and the other does not. If both are
    equally accurate, each of these is broken or fixed like the toss of a coin (McNemar 1947).
    """
    if not has_scipy():
        return None
    if broken + fixed == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(broken, broken + fixed, 0.5).pvalue)


def expected_calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Return how far confidence is from accuracy, 0 to 1: Σ (n_b / N) · |accuracy_b − mean confidence_b|.

    The images, with `probabilities` float32 [N, C] and true classes int64 [N], are put into `ECE_BINS` bins of equal
    width by the probability of their answer. Answers that are not finite count as wrong with a confidence of 0.
    """
    settled = np.where(np.isfinite(probabilities), probabilities, np.float32(0.0))
    confidence = settled.max(axis=1).astype(np.float64)
    right = (settled.argmax(axis=1) == labels) & (confidence > 0.0)
    # Bins are open below and closed above, as in the paper.
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    excess = np.bincount(bins, weights=right - confidence, minlength=ECE_BINS)
    return float(np.abs(excess).sum() / len(labels))
