"""What the commands about samples print: `review`, `learn` and `health`."""

from __future__ import annotations

import msgspec

from edgemnist.results import Part, Result
from edgemnist.results.boards import Fault
from edgemnist.results.verify import Interval


class GivenLabel(Part, frozen=True, kw_only=True):
    """What one writer says a sample is."""

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
    """Classes that a label may name, besides `not-a-digit`."""
    samples: list[ReviewItem]
    """Samples to look at, the most suspicious first."""


class LabelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/samples/ID`."""

    label: str | None
    """Name of a class, `not-a-digit`, or null to take back the label given before."""


class LabelResponse(Result, frozen=True, kw_only=True):
    """The answer to a label."""

    labels: list[GivenLabel]
    """All labels of the sample that count."""
    disputed: bool
    """Whether they differ, so that the sample is shown again."""


class ReviewResult(Result, frozen=True, kw_only=True):
    """`edgemnist review`."""

    samples: int
    """Samples in the store."""
    labelled: int
    """Samples with a label that all writers agree on."""
    disputed: int
    """Samples with labels that differ."""
    to_review: int
    """What the page shows: without a label, disputed, or corrected and not confirmed."""
    writer: str
    imported: int | None = None
    """Labels that were imported; None without `--import`."""
    exported: int | None = None
    """Labelled samples that were written; None without `--export`."""
    url: str | None = None
    """Where the page is; None where it is not shown."""
    address: str | None = None
    """Where other devices find it; None where only this machine does."""
    token: bool = False
    """Whether it asks for a token."""


class Paired(Part, frozen=True, kw_only=True):
    """The present model and the new one on the same images."""

    images: int
    before: int
    """Images that the present model gets right."""
    after: int
    """Images that the new one gets right."""
    before_interval: Interval | None
    """Of the share, at 95 % (Wilson); None without SciPy."""
    after_interval: Interval | None
    fixed: int
    """Images that only the new one gets right."""
    broken: int
    """Images that only the present one gets right."""
    p_value: float | None
    """McNemar's exact test: how likely such a difference is if both are equally good."""


class Contradiction(Part, frozen=True, kw_only=True):
    """A sample whose label looks wrong: its neighbours and the present model agree on another one."""

    sample: int
    """Its id in the store."""
    label: str
    neighbours: str
    """What they say."""
    writers: list[str]
    """Who labelled it."""


class LearnResult(Result, frozen=True, kw_only=True):
    """`edgemnist learn`."""

    passed: bool
    """Whether the gate was passed, so that the new export directory was written."""
    reasons: list[str]
    """Why the gate was missed, one sentence each."""
    exports: str
    """Where the present model is."""
    out: str | None
    """The new export directory; None where the gate was missed."""
    labels: list[str]
    per_class: dict[str, int]
    """Samples that were learnt from, by label."""
    per_writer: dict[str, int]
    """Labels by writer."""
    not_a_digit: int
    """Samples that were left out because they are not digits."""
    disputed: int
    """Samples that were left out because their labels differ."""
    forgotten: int | None
    """Labels that were deleted with `--forget`."""
    held_out: Paired
    """On the samples, each answered by a model that has not learnt from it (cross-validation)."""
    golden: Paired
    """On the golden pack."""
    int8_loss: float | None
    """Share of the golden pack that `tflite-int8` gets wrong beyond its own float; None where it was not exported."""
    share: float
    """Share of the new weights in their mixture with the present ones."""
    contradictions: list[Contradiction]
    seconds: float


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
