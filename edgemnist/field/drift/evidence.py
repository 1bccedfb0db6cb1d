"""Evidence that something has changed, which may be checked after every image.

For each quantity a number grows as long as it is further from its reference than a tolerance, and shrinks otherwise: a
Shiryaev-Roberts e-detector (J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric framework for sequential
change detection", New England Journal of Statistics in Data Science, 2023). Each image multiplies it by a bet, 1 + λ
(value - bound), whose mean is at most 1 as long as the mean of the value is within the bound (I. Waudby-Smith and A.
Ramdas, "Estimating means of bounded random variables by betting", JRSS B, 2024). So the weighted mean of all reaches
`ALARM` without a change at most once in that many images, however often one looks, and whatever the distribution.

The reference is itself counted from images: the bound is the tolerance and three standard errors away from it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.field.drift import Window
from edgemnist.field.drift.ink import BINS, FEATURES

ALARM: Final = 1e5
"""Images to a false alarm, at least, on average."""
MOST: Final = 1e12
"""Cap on the evidence: a change that lasted a year is over in a day if it changes back."""
ERRORS: Final = 3.0
"""Standard errors of the reference."""
DOUBTFUL, REFUSED = "doubtful share", "refused share"
DOUBTFUL_GOLDEN: Final = "doubtful share, golden pack"
LOWER, HIGHER = "lower", "higher"
SHARE_BETS: Final = (1.0, 3.0, 8.0)
"""λ of shares: near (changed - bound) / bound for shares that change from 2 % to 4, 8 and 18 %."""
INK_BETS: Final = (0.3, 0.8, 1.5)
"""λ of ranks, which are within 0.5 of their mean."""
SHARE_TOLERANCE: Final = 0.005
"""Tolerance of the doubtful share: 0.5 points more of it mean 0.15 points more errors of the reference model."""
GOLDEN_TOLERANCE: Final = 0.05
"""Tolerance of the same against the golden pack: nobody's pictures are quite those of the data set."""
REFUSED_TOLERANCE: Final = 0.02
INK_TOLERANCE: Final = 0.02
"""Tolerance of a feature's mean rank, 0 to 1, in its first week's distribution: 0.07 standard deviations of shift."""
MOST_LOST: Final = 0.9
"""Largest share of a bet that one image can lose."""
LEAST_SHARE: Final = 0.005
"""A share of nothing has a standard error, too."""

Logs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Watched:
    """A quantity: the bets on it, and its part in the alarm."""

    name: str
    bets: tuple[float, ...]
    weight: float


_INK: Final = [f"{one.name}, {way}" for one in FEATURES for way in (LOWER, HIGHER)]
WATCHED: Final = (
    Watched(DOUBTFUL_GOLDEN, SHARE_BETS, 1 / 8),
    Watched(DOUBTFUL, SHARE_BETS, 1 / 4),
    Watched(REFUSED, SHARE_BETS, 1 / 8),
    *(Watched(name, INK_BETS, 1 / 2 / len(_INK)) for name in _INK),
)
SHARES: Final = 3
"""The first ones are shares, the others ranks."""


class Detector:
    """Takes images one after the other, and knows the evidence for a change so far."""

    def __init__(
        self, golden: Window | None, first: Window | None, evidence: Mapping[str, list[float]] | None = None
    ) -> None:
        """`golden` and `first` are the references; None for one that is not there (yet). Continues with `evidence`."""
        kept = evidence or {}
        nothing = [-math.inf] * len(SHARE_BETS)
        rows = [kept.get(one.name, nothing) for one in WATCHED]
        self._logs: Logs = np.array([row if len(row) == len(nothing) else nothing for row in rows])
        self._bets = np.array([one.bets for one in WATCHED])
        self._bounds = np.full(len(WATCHED), np.inf)
        if golden is not None and golden.answered:
            self._bounds[0] = _share_bound(golden.doubtful, golden.answered, GOLDEN_TOLERANCE)
        self._ranks = None
        if first is not None:
            if first.answered:
                self._bounds[1] = _share_bound(first.doubtful, first.answered, SHARE_TOLERANCE)
            self._bounds[2] = _share_bound(first.refused, first.images, REFUSED_TOLERANCE)
            if first.ink:
                self._ranks = _ranks(first)
                self._bounds[SHARES:] = INK_TOLERANCE + ERRORS * math.sqrt(1 / 12 / first.images)
        self._active = np.isfinite(self._bounds)
        # No bet loses more than there is: a share is 0 at least, a rank 0.5 below its mean.
        lowest = np.where(np.arange(len(WATCHED)) < SHARES, 0.0, -0.5)
        self._bets = np.minimum(self._bets, MOST_LOST / (self._bounds - lowest)[:, None])

    def see(self, bins: npt.NDArray[np.int64], *, doubtful: bool, refused: bool) -> None:
        """Take an image with the bins of its ink, int64 [features], or [0] where that is not counted."""
        values = np.zeros(len(WATCHED))
        values[:SHARES] = doubtful, doubtful, refused
        if self._ranks is not None:
            centred = self._ranks[np.arange(len(FEATURES)), bins] - 0.5
            values[SHARES::2], values[SHARES + 1 :: 2] = -centred, centred
        here = self._active.copy()
        if refused:
            # What was not answered is not doubtful.
            here[:2] = False
        factors = 1 + self._bets[here] * (values[here] - self._bounds[here])[:, None]
        logs = np.logaddexp(self._logs[here], 0) + np.log(factors)
        self._logs[here] = np.minimum(logs, math.log(MOST))

    def evidence(self) -> dict[str, list[float]]:
        """Return what has been gathered, to continue with."""
        return {
            one.name: row.tolist()
            for one, row, active in zip(WATCHED, self._logs, self._active, strict=True)
            if active and np.isfinite(row).all()
        }


def _share_bound(some: int, of: int, tolerance: float) -> float:
    share = max(some / of, LEAST_SHARE)
    return some / of + tolerance + ERRORS * math.sqrt(share * (1 - share) / of)


def _ranks(first: Window) -> Logs:
    """Return the rank of each bin in the distribution of the first week, float64 [features, BINS], 0.5 on average."""
    shares = np.array(first.ink, np.float64).reshape(len(FEATURES), BINS) / first.images
    return np.asarray(shares.cumsum(axis=1) - shares / 2, np.float64)


def means(evidence: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the evidence for each quantity over all sizes of a change, as a logarithm."""
    return {name: float(np.logaddexp.reduce(row)) - math.log(len(row)) for name, row in evidence.items() if row}


def total(evidence: Mapping[str, list[float]]) -> float:
    """Return the evidence for any change, as a logarithm: the weighted mean, with which `ALARM` is compared."""
    found = means(evidence)
    logs = [found[one.name] + math.log(one.weight) for one in WATCHED if one.name in found]
    return float(np.logaddexp.reduce(logs)) if logs else -math.inf


def alarmed(evidence: Mapping[str, list[float]]) -> list[str]:
    """Return what has changed, the surest first; nothing without an alarm."""
    if total(evidence) < math.log(ALARM):
        return []
    found = means(evidence)
    surest = sorted(found, key=lambda name: -found[name])
    return [name for number, name in enumerate(surest) if number == 0 or found[name] >= math.log(ALARM)]
