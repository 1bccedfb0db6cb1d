"""Telling probabilities from logits, and making the one of the other."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Images, Probabilities

ROUNDING: Final = 1 / 256
"""Step of probabilities in 8 bits, which even a floating point output may have come through."""
SLACK: Final = 0.01
"""How far the probabilities of one image may be from adding up to 1 beside that: half precision errs by 0.002."""


def _probes() -> Images:
    ramp = np.linspace(0, 255, IMAGE_SIDE).astype(np.uint8)
    across = np.broadcast_to(ramp, (IMAGE_SIDE, IMAGE_SIDE))
    return np.stack([np.zeros_like(across), np.full_like(across, 255), across, across.T, across ^ across.T])


PROBES: Final = _probes()
"""Pictures of nothing in particular, uint8 [5, 28, 28]."""


def are_probabilities(scores: npt.NDArray[Any]) -> bool:
    """Return whether every row of `scores` [N, C] is a distribution over the classes, each rounded to 8 bits at worst.

    Logits of several unlike pictures that all add up to 1 without a negative one among them do not happen, whereas a
    model's last operation may be anything: a softmax, a softmax followed by a conversion or a reshape, or one that a
    converter has taken apart.
    """
    slack = SLACK + ROUNDING * scores.shape[1]
    return bool(np.all(scores >= -ROUNDING) and np.all(np.abs(scores.sum(axis=1) - 1) <= slack))


def softmax(logits: npt.NDArray[Any]) -> Probabilities:
    """Return exp(x) / Σ exp(x) of each row, float32 [N, C]."""
    # A broken model may answer with infinities: that is for the verification to notice, not for a warning.
    with np.errstate(invalid="ignore"):
        powers: Probabilities = np.exp(logits.astype(np.float32) - logits.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
    return powers
