"""What the commands about samples print: `review`, `learn` and `health`."""

import msgspec

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import FORMER_NAMES, Part, Result, as_json
from edgemnist.ground.results.boards import Fault
from edgemnist.ground.results.verdict import UNKNOWN, Verdict
from edgemnist.ground.results.verify import Interval


class GivenLabel(Part, frozen=True, kw_only=True):
    """What one writer says a sample is."""

    label: str
    writer: str


class ReviewItem(Part, frozen=True, kw_only=True):
    """A sample, as the page shows it."""

    id: int
    image: bytes
    """What the model was given, in Base64, row by row: bytes, 0 for black, or little-endian float32."""
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
    """Classes that a label may name, besides `none-of-these`."""
    samples: list[ReviewItem]
    """Samples to look at, the most suspicious first."""
    takes: InputSpec | None = None
    """What the model was given, but for the meaning of its numbers."""


class LabelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/samples/ID`."""

    label: str | None
    """Name of a class, `none-of-these`, or null to take back the label given before."""


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
    """A sample whose label looks wrong: a model that has not learnt from it reads something else."""

    sample: int
    """Its id in the store."""
    label: str
    neighbours: str
    """What that model reads."""
    writers: list[str]
    """Who labelled it."""


class LeftOut(Part, frozen=True, kw_only=True):
    """Labelled samples that were not learnt from, and why."""

    none_of_these: int = 0
    """They are labelled `none-of-these`."""
    disputed: int = 0
    """Their labels differ, or those of another sample with the same pixels do."""
    unconfirmed: int = 0
    """Only clients labelled them: no person has confirmed it, and they were not named with `--trust`."""
    duplicates: int = 0
    """Another sample has the same pixels and label."""
    beyond_share: int = 0
    """A trusted client gave more than all others together."""


class LearnResult(Result, frozen=True, kw_only=True):
    """`edgemnist learn`."""

    verdict: Verdict = Verdict()
    passed: bool
    """Whether the verdict is `passed`, so that the new export directory was written."""
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
    """Samples that were learnt from, by the person or the trusted client who vouches for the label."""
    none_of_these: int
    """Samples that were left out because they show none of the classes."""
    disputed: int
    """Samples that were left out because their labels differ."""
    forgotten: int | None
    """Labels that were deleted with `--forget`."""
    left_out: LeftOut
    held_out: Paired
    """On samples that the present model has not learnt from, each answered by a new model that has not, either."""
    golden: Paired
    """On the golden pack."""
    int8_loss: float | None
    """Share of the golden pack that `tflite-int8` gets wrong beyond its own float; None where it was not exported, as
    where the verdict is known before. Every artifact has to pass its own gate."""
    share: float = 1.0
    """Share of the new weights in the model: all, since nothing is mixed any more."""
    contradictions: list[Contradiction]
    doubted: int
    """Labels that look wrong and that no person has looked at since, those of earlier runs included."""
    found: float
    """Share of labels that would be in `contradictions` if they were changed at random; one at a time."""
    seconds: float

    def to_json(self) -> str:
        """Return the document as indented JSON, with each count of `none_of_these` by its former name as well."""
        document = msgspec.to_builtins(self)
        for name, classes in FORMER_NAMES.items():
            if classes == tuple(self.labels):
                for part in (document, document["left_out"]):
                    part[name.replace("-", "_")] = part["none_of_these"]
        return as_json(document)


class EstimatedAccuracy(Part, frozen=True, kw_only=True):
    """Accuracy of answers without labels, as their confidences promise it."""

    images: int
    """Images with an answer."""
    accuracy: float
    """0 to 1."""
    interval: Interval | None
    """Always None: without labels nothing bounds how far the promise is from the truth."""


class LabelledAccuracy(Part, frozen=True, kw_only=True):
    """Accuracy on samples with a label, of those drawn evenly."""

    images: int
    right: int
    accuracy: float
    interval: Interval | None
    """At 95 % (Wilson); None without SciPy."""


class Quantity(Part, frozen=True, kw_only=True):
    """A share, or the mean of a feature of the images, in three stretches of time."""

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
    """Power of ten of the evidence for a mixture other than in the first week; None during that. Raises no alarm."""


class ChangedSample(Part, frozen=True, kw_only=True):
    """A sample that shows what has changed."""

    host: str
    """The board that has it; empty for this machine."""
    sample: int
    """Its id in the store."""
    at: str
    answer: str | None
    image: bytes
    """What the model was given, as in `ReviewItem`."""
    shape: list[int] | msgspec.UnsetType = msgspec.UNSET
    """Of that; left out for the default task's input."""


class BoardHealth(Part, frozen=True, kw_only=True):
    """The counts of one board, or why there are none."""

    host: str
    """The board as it was named, or the file."""
    state: str | None = None
    """As that of the report; None if there are no counts."""
    verdict: Verdict | None = None
    """The same; None if there are no counts."""
    images: int = 0
    """Latest images."""
    accuracy: float | None = None
    """As its confidence promises."""
    evidence: float | None = None
    """Power of ten of the evidence for any change."""
    fault: Fault | None = None


HARM = "harm"
HARMLESS = "harmless"
UNCHANGED = "unchanged"
STATES = (HARM, UNKNOWN, HARMLESS, UNCHANGED)
"""The worst first; the last two pass."""


class HealthReport(Result, frozen=True, kw_only=True):
    """`edgemnist health`."""

    passed: bool
    """True if it is known to be `unchanged` or `harmless`."""
    state: str
    """`unchanged`, `harmless` (changed, and labels show that it is about as good as before), `harm` or `unknown`."""
    verdict: Verdict
    """`passed` if it is `unchanged` or `harmless`, `missed` for `harm`, and `unknown`: of all boards, the worst."""
    reasons: list[str]
    """Why, in sentences; empty if it is `unchanged`."""
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
    """On the golden pack; None if the model has none, or if boards have different ones."""
    first: EstimatedAccuracy | None
    """In the first week; None until that is complete."""
    lately: EstimatedAccuracy | None
    """Over the 500 to 1,000 latest images of each board, or those since its alarm."""
    uncounted: int = 0
    """Images that came too fast to be counted meanwhile."""
    labelled: LabelledAccuracy | None
    """On answers of the even draw that this model gave and has not learnt from; None without labels."""
    evidence: float | None
    """Power of ten of the evidence for any change; the alarm is at 5."""
    quantities: list[Quantity]
    classes: ClassShares
    samples: list[ChangedSample] = msgspec.field(default_factory=list)
    """After an alarm, samples that show what has changed."""
    boards: list[BoardHealth]
