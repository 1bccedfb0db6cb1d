"""Whether a difference in accuracy means anything, and whether confidences still do."""

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from edgemnist.ground.arrays import Labels, Probabilities
from edgemnist.ground.results.verify import SIGNIFICANT, Interval

CONFIDENCE: Final = 0.95
ECE_BINS: Final = 15
"""Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, section 5."""


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return Wilson's 95 % interval of a share (Wilson 1927).

    Unlike the textbook's ± it stays within 0 and 1 and holds for shares as close to 1 as accuracies are.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = successes / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    # At both ends the formula gives exactly 0 and 1, but for the last bit.
    low = 0.0 if successes == 0 else (middle - half) / (1 + z * z / trials)
    high = 1.0 if successes == trials else (middle + half) / (1 + z * z / trials)
    return Interval(low=low, high=high)


def binomial_tail(successes: int, trials: int, share: float) -> float:
    """Return the chance of this many successes or fewer if each has a probability of `share`, exactly."""
    if not 0 < share < 1:
        return 1.0 if share <= 0 else float(successes == trials)

    def term(number: int) -> float:
        # In logarithms, as each factor may be tiny or huge.
        ways = math.lgamma(trials + 1) - math.lgamma(number + 1) - math.lgamma(trials - number + 1)
        return math.exp(ways + number * math.log(share) + (trials - number) * math.log1p(-share))

    return min(1.0, math.fsum(map(term, range(successes + 1))))


def mcnemar_p(broken: int, fixed: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Of two models that answer the same images, only those count that one gets right and the other does not. If both are
    equally accurate, each of these is broken or fixed like the toss of a coin (McNemar 1947): twice the binomial tail.
    """
    return min(1.0, 2 * binomial_tail(min(broken, fixed), broken + fixed, 0.5))


def is_significant_loss(broken: int, fixed: int) -> bool:
    """Return whether more images are broken than fixed, and chance does not explain it (`SIGNIFICANT`)."""
    return broken > fixed and mcnemar_p(broken, fixed) < SIGNIFICANT


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
