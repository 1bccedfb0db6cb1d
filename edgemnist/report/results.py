"""What `edgemnist report` did."""

from __future__ import annotations

import msgspec

from edgemnist.results import Result


class ReportResult(Result, frozen=True, kw_only=True):
    """`edgemnist report`."""

    file: str
    """Path of the page."""
    bytes: int
    recommended: str | None
    missing: list[str]
    """Commands that would complete the report: what they find out is not in it."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Artifacts that cannot be shipped, being damaged or of an earlier model, and why."""
