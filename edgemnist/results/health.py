"""What `edgemnist health` prints."""

from __future__ import annotations

import msgspec

from edgemnist.results.base import Part, Result
from edgemnist.results.boards import Fault
from edgemnist.results.verify import Interval


class EstimatedAccuracy(Part, frozen=True, kw_only=True):
    """Accuracy of answers without labels, estimated from their confidences."""

    images: int
    """Images with an answer."""
    accuracy: float
    """0 to 1."""
    interval: Interval | None
    """At 95 % (Wilson), if the confidences are right; None without SciPy."""


class LabelledAccuracy(Part, frozen=True, kw_only=True):
    """Accuracy on samples with a label, of those drawn evenly."""

    images: int
    right: int
    accuracy: float
    interval: Interval | None
    """At 95 % (Wilson); None without SciPy."""


class Quantity(Part, frozen=True, kw_only=True):
    """A share, or the mean of a feature of the ink, in three stretches of time."""

    name: str
    unit: str
    """Empty for a share."""
    golden: float | None
    """On the golden pack; None if the model has none."""
    first: float | None
    """In its first week; None until that is complete."""
    lately: float | None
    evidence: float | None
    """Power of ten of the evidence for a change since the first week; None until that is complete."""


class ClassShares(Part, frozen=True, kw_only=True):
    """How often each class is answered."""

    labels: list[str]
    golden: list[float] | None
    first: list[float] | None
    lately: list[float] | None
    evidence: float | None
    """Power of ten of the evidence for a mixture other than in the first week; None without SciPy. Raises no alarm."""


class ChangedSample(Part, frozen=True, kw_only=True):
    """A sample that shows what has changed."""

    host: str
    """The board that has it; empty for this machine."""
    sample: int
    """Its id in the store."""
    at: str
    answer: str | None
    image: bytes
    """784 bytes in Base64, row by row, 0 for black."""


class BoardHealth(Part, frozen=True, kw_only=True):
    """The counts of one board, or why there are none."""

    host: str
    """The board as it was named, or the file."""
    images: int = 0
    """Latest images."""
    accuracy: float | None = None
    """Estimated."""
    evidence: float | None = None
    """Power of ten of the evidence for any change."""
    fault: Fault | None = None


class HealthReport(Result, frozen=True, kw_only=True):
    """`edgemnist health`."""

    passed: bool
    """False after an alarm."""
    changed: list[str]
    """What has changed, the most certain first; empty without an alarm."""
    artifact: str
    sha256: str
    """Of the model file."""
    release: str | None
    """None if nobody deployed it, or if boards have different ones."""
    since: str
    """The first image, in UTC; empty if there were none."""
    until: str
    golden: LabelledAccuracy | None
    """On the golden pack; None if the model has none."""
    first: EstimatedAccuracy | None
    """In the first week; None until that is complete."""
    lately: EstimatedAccuracy | None
    """Over the 500 to 1,000 latest images of each board."""
    labelled: LabelledAccuracy | None
    """None without labels."""
    evidence: float | None
    """Power of ten of the evidence for any change; the alarm is at 5."""
    quantities: list[Quantity]
    classes: ClassShares
    samples: list[ChangedSample] = msgspec.field(default_factory=list)
    """After an alarm, samples that show what has changed."""
    boards: list[BoardHealth]
