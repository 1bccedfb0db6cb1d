"""What the commands about samples print."""

from __future__ import annotations

import msgspec

from edgemnist.results.base import Part, Result


class GivenLabel(Part, frozen=True, kw_only=True):
    """What one writer says that a sample is."""

    label: str
    writer: str


class ReviewItem(Part, frozen=True, kw_only=True):
    """A sample, as the page shows it."""

    id: int
    image: bytes
    """784 bytes in Base64, row by row, 0 for black."""
    at: str
    source: str
    artifact: str
    answer: str | None
    confidence: float
    reason: str
    labels: list[GivenLabel]


class ReviewQueue(Result, frozen=True, kw_only=True):
    """The answer to `GET /v1/samples`."""

    writer: str
    """In whose name labels are given."""
    classes: list[str]
    """What a label may name, beside `not-a-digit`."""
    samples: list[ReviewItem]
    """What is to be looked at, the most suspicious first."""


class LabelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/samples/ID`."""

    label: str | None
    """Name of a class, `not-a-digit`, or null to take back what was said before."""


class LabelResponse(Result, frozen=True, kw_only=True):
    """The answer to a label."""

    labels: list[GivenLabel]
    """All labels of the sample that count."""
    disputed: bool
    """Whether they differ, so that the sample is to be shown again."""


class ReviewResult(Result, frozen=True, kw_only=True):
    """`edgemnist review`."""

    samples: int
    """In the store."""
    labelled: int
    """Of these, with a label that all agree on."""
    disputed: int
    """With labels that differ."""
    to_review: int
    """What the page shows: without a label, disputed, or corrected and not confirmed."""
    writer: str
    imported: int | None = None
    """Labels that were taken over; None without `--import`."""
    exported: int | None = None
    """Labelled samples that were written; None without `--export`."""
    url: str | None = None
    """Where the page is; None where it is not shown."""
    address: str | None = None
    """Where other devices find it; None where only this machine does."""
    token: bool = False
    """Whether it asks for a token."""
