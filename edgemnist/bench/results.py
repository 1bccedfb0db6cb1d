"""What the kinds of `edgemnist bench` other than the plain one find out."""

from __future__ import annotations

from typing import Any

from edgemnist.results import Latency, Ratio, Result


class PairResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench A B --pair`."""

    host: dict[str, Any]
    first: Latency
    second: Latency
    ratio: Ratio
    """p50 of the first over that of the second."""
    max_slowdown: float | None
    """Ratio up to which the first may be slower; None where there is no gate."""
    passed: bool
    """Whether the first is not slower than that by more than the noise; always so without a gate."""
    rounds: int
    warnings: list[str]
