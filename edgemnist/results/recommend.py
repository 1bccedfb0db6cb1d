"""What `edgemnist recommend` prints."""

from __future__ import annotations

from typing import Any

import msgspec

from edgemnist.results.base import Part, Result


class Candidate(Part, frozen=True, kw_only=True):
    """One artifact that was verified and measured."""

    name: str
    bytes: int
    accuracy: float
    passed: bool
    """Whether it met its parity gate: only then it can be recommended."""
    p50_us: float
    fits_in: str | None
    """The smallest cache that holds its file, such as `L2`; None where none does or none is known."""


class RecommendResult(Result, frozen=True, kw_only=True):
    """`edgemnist recommend`."""

    recommended: str | None
    """Name of the artifact to ship; None where there is none."""
    reason: str
    facts: list[str]
    """What of this board matters for the choice, a sentence each."""
    candidates: list[Candidate]
    """Fastest first."""
    host: dict[str, Any]
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons to doubt the choice, in words."""
