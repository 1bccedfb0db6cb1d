"""What `edgemnist verify` prints and saves."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.results.verdict import BUILT_IN, MISSED, UNKNOWN, Verdict, joint

KERAS_MODEL = "Keras model"
"""What artifacts are compared with where no other reference is named."""
SOURCE_MODELS = {".onnx": "ONNX model", ".tflite": "TFLite model"}
"""The same of models that come in another file, by its ending."""
NOT_RUN = "not run"
"""Status of an artifact whose runtime is not installed."""
SIGNIFICANT = 0.05
"""A p-value below this means something: chance alone gets there once in 20 times."""


class Flip(Part, frozen=True, kw_only=True):
    """An image whose label is not the reference's."""

    index: int
    """Its index among the evaluation images, from 0."""
    label: int | str | None
    """The true label; None where nobody has said it."""
    reference: int | str
    """What the reference (the Keras model) says."""
    artifact: int | str | None
    """What the artifact says; None where it gave no finite answer."""
    reference_margin: float
    """Probability of the reference's answer less that of its second choice: how sure it was."""
    artifact_margin: float
    kind: str
    """`broken`: the reference was right; `fixed`: the artifact is; `changed`: from one wrong label to another, or
    nobody knows which one is right."""


class FlipCause(Part, frozen=True, kw_only=True):
    """What, repaired in the NumPy form of a full-int8 file, gives a label back; see `edgemnist.pipeline.verify.why`."""

    index: int
    """As in `Flip`."""
    cause: str
    """`tie` on the output's grid, `rounding` rule, `input` range, `saturation`, `weights` or `scale` too coarse;
    `several` of these together, or `unknown`, where nothing gives the label back."""
    repaired: int = 1
    """Tensors repaired at once: 1, or as many as have this cause; 0 if it is unknown."""
    operator: int | None = None
    """Place in the file, from 0, of the first operator whose values that changes; None for the input."""
    kind: str = ""
    tensor: str = ""
    """What it makes, by its name in the file."""
    channel: int | None = None
    steps: float = 0.0
    """The most that one of these values is off, in steps of the tensor, and the channel in which that is."""


class Interval(Part, frozen=True, kw_only=True):
    """A 95 % confidence interval."""

    low: float
    high: float


class IntegerCheck(Part, frozen=True, kw_only=True):
    """A runtime against the integer reference, on the same file."""

    differing: int
    """Probabilities that are not the same, of images × classes."""
    max_abs_diff: float
    """Of a probability; 1/256 is one step of the int8 softmax."""
    flips: int
    """Images with another label."""
    rescaling: str | None = None
    """How the runtime rounds, see `RoundingRule`, if the reference gives its answers, to one step of the softmax, under
    that rule and not under its own."""


class Replay(Part, frozen=True, kw_only=True):
    """How one artifact answers here, compared with how it answered on the machine that exported it."""

    verdict: str
    """`identical`, `rounding` (no value by more than one step, or float noise), `drift` (by more), or `flips` (a label
    changed)."""
    images: int
    flips: int
    """Images whose label differs from the one there."""
    differing: int
    """Values, of `images` times classes, that are not the same to the last bit."""
    beyond_rounding: int
    """Values that differ by more than rounding explains."""
    max_abs_diff: float
    max_steps: int | None
    """The same in steps of a quantized output; None for a float one."""


class Limit(Part, frozen=True, kw_only=True):
    """One limit of the gate that an artifact had to meet."""

    limit: float
    """In the unit given by its name in a gate file."""
    builtin: float | None
    """The limit that holds where no other is asked for."""
    allowed: int | None = None
    """How many of the evaluation images it allows, and for chance if these are few; None if it does not count them."""
    own: bool = False
    """Whether it differs from the built-in one, which allows for ties, rounding rules and few images."""
    origin: str = BUILT_IN
    """`built in`, `gate file` or `command line`. The last two are a person's, and hold to the letter."""


class ValueFigures(Part, frozen=True, kw_only=True):
    """How far numbers are from the reference's."""

    largest: float
    mean: float
    """Difference of one value, and of all on average, as shares of `spread`."""
    differing: float
    """Share of the values that are not the same to the last bit, 0 to 1."""
    spread: float
    """Standard deviation of the reference's values over the inputs, the root mean square of all outputs; 1 where they
    do not depend on the input."""


class ArtifactParity(Part, frozen=True, kw_only=True):
    """How close one artifact is to the Keras model, on every evaluation image."""

    verdict: Verdict = Verdict()
    name: str
    format: str
    quantization: str
    runtime: str
    answers: str = "classes"
    """`classes`, or `numbers`, of which nothing but `values` is known."""
    values: ValueFigures | None = None
    accuracy: float | None
    accuracy_drop_points: float | None
    """Percentage points below the Keras model; negative where the artifact is better. Both need labels."""
    flips: int
    """Images whose label differs from the Keras model's."""
    agreement: float | None
    """Share of the images with the Keras model's label; None for numbers."""
    max_abs_diff: float
    mean_abs_diff: float
    """Of the probabilities or numbers, against the Keras model's."""
    max_batch_diff: float
    """Largest difference of a probability between a batch of 1 and a batch of N."""
    batch_flips: int
    """Labels that differ between a batch of 1 and a batch of N."""
    reference_impurity: float | None = None
    """Gini impurity of the Keras model's answers, on average: 0 where it is always sure, below 1. None for numbers. The
    built-in limits grow with it."""
    ties: int = 0
    """Flips that are ties: the artifact finds the Keras model's label as likely as its own. The built-in limit of flips
    leaves them out where accuracy is not lost; everything else counts them."""
    passed: bool
    """Whether the verdict is `passed`."""
    reasons: list[str]
    """Each limit that was missed, or is not known to have been met, in words; empty where all were met."""
    significant_loss: bool | None = None
    """Whether fewer answers are right than the reference's, and chance does not explain it (`mcnemar_p` below 0.05).
    Where the drop limit is built in, such an artifact is not shipped, and misses its gate above half of that."""
    cure: str | None = None
    """The command that removes the cause of a missed gate, without `edgemnist`, where the cause is known."""
    replay: Replay | None = None
    """Against the exporting machine's answers; None where those are not recorded."""
    sha256: str
    """Of the artifact that was verified: a result holds for this file only."""
    flipped: list[Flip] = msgspec.field(default_factory=list)
    """Every image whose label changed, in order."""
    why: list[FlipCause] = msgspec.field(default_factory=list)
    """Why, for the first of these; only with `--why`, and of a full-int8 file."""
    accuracy_interval: Interval | None = None
    """Wilson's interval of the accuracy."""
    mcnemar_p: float | None = None
    """How likely the numbers of broken and fixed images are to differ this much if the artifact were as accurate as the
    reference (McNemar's exact test)."""
    ece: float | None = None
    """Expected calibration error of the confidences, 0 to 1, see `edgemnist.pipeline.verify.statistics`."""
    reference_ece: float | None = None
    """The same for the reference."""
    integer: IntegerCheck | None = None
    """For a full-int8 TFLite file of dense layers; None for any other."""
    gate: dict[str, Limit] = msgspec.field(default_factory=dict)
    """The limits it had to meet, by their names in a gate file."""

    @property
    def loss(self) -> str:
        """The loss of accuracy in words, if chance does not explain it; empty otherwise."""
        if not self.significant_loss or self.accuracy_drop_points is None:
            return ""
        p = "" if self.mcnemar_p is None else f" (McNemar's exact test, p {self.mcnemar_p:.2g})"
        return f"{self.accuracy_drop_points:.2f} points less accurate, more than chance explains{p}"

    @property
    def merit(self) -> float:
        """How good its answers are, among models of one directory: the larger the better."""
        if self.values is not None:
            return -self.values.mean
        return self.agreement or 0.0 if self.accuracy is None else self.accuracy

    @property
    def merit_words(self) -> str:
        """The same in words: `98.12 % accurate`."""
        if self.values is not None:
            return f"off by {100 * self.values.mean:.2g} % of the spread on average"
        if self.accuracy is None:
            return f"{100 * (self.agreement or 0.0):.2f} % of the labels unchanged"
        return f"{100 * self.accuracy:.2f} % accurate"

    @property
    def shippable(self) -> bool:
        """Whether it passed, and lost no accuracy beyond chance unless a person's limit allows that loss."""
        limit = self.gate.get("max_drop_points")
        return self.passed and (not self.loss or (limit is not None and limit.origin != BUILT_IN))


class Unusable(Part, frozen=True, kw_only=True):
    """A recorded artifact that could not be verified."""

    name: str
    status: str
    """`damaged`, `missing`, `refused` by its runtime, or `not run`, where its runtime is not installed."""
    reason: str

    @property
    def outcome(self) -> str:
        """What that is in a verdict."""
        return UNKNOWN if self.status == NOT_RUN else MISSED


class RoundingRule(IntegerCheck, frozen=True, kw_only=True):
    """One model's answers against those of the integer reference, computed under one rounding rule."""

    rescaling: str
    """How sums of products are rounded to the next scale: `single`, `double` (as in gemmlowp) or `float`."""
    softmax: str
    """What the softmax is computed in: `integer` or `float`."""
    images: int
    """Images with a probability that is not the same."""


class Departure(Part, frozen=True, kw_only=True):
    """The first operator of a file that does not make of a runtime's numbers what the integer reference does."""

    operator: int
    """Its place in the file, from 0."""
    kind: str
    """As in TFLite's schema, such as `CONV_2D`."""
    tensor: str
    """The name of what it makes."""
    differing: int
    """Values that are not the same, of `values`."""
    values: int
    max_steps: int
    """The largest difference, in steps of the tensor's scale."""


class Unexplained(Part, frozen=True, kw_only=True):
    """A value that a rule does not explain."""

    index: int
    """Of the image, or other input, from 0."""
    output: int
    """Its place in the answer, from 0."""
    answer: float
    expected: float
    """What the model answered, and what the reference does under the rule."""


class ModelRounding(Part, frozen=True, kw_only=True):
    """Which rule a model rounds by, as far as its answers tell."""

    name: str
    rules: list[RoundingRule]
    """All rules, the best fit first; among equals, the one nearest to the reference first."""
    departure: Departure | None = None
    """Where the runtime departs from the best rule; None where it fits, or where the runtime does not show that."""
    unexplained: list[Unexplained] = msgspec.field(default_factory=list)
    """The values that differ under the best rule, 1,000 of them at most."""


class VerifyResult(Result, frozen=True, kw_only=True):
    """`edgemnist verify`, and the contents of `verify.json`."""

    verdict: Verdict = Verdict()
    """On all artifacts; the reasons are theirs."""
    passed: bool
    """Whether the verdict is `passed`."""
    images: int
    reference_accuracy: float | None
    """Accuracy of the Keras model; None where nobody has said the labels, and for numbers."""
    data: DataIdentity
    model_sha256: str
    """Of what they were compared with; empty where each file was compared with its own integer reference."""
    artifacts: list[ArtifactParity]
    unusable: list[Unusable] = msgspec.field(default_factory=list)
    """Recorded artifacts whose files are damaged or missing; only if no artifact was named."""
    seconds: float
    reference: str = KERAS_MODEL
    """What the artifacts were compared with: the Keras model, or the file that `--reference` named."""
    vote: dict[str, Any] | None = None
    layers: list[dict[str, Any]] = msgspec.field(default_factory=list)
    """Which runtime stood alone, and errors by layer: only an earlier edgemnist found these."""
    rounding: list[ModelRounding] = msgspec.field(default_factory=list)
    """Only with `--rounding`."""
    flip_sheet: str | None = None
    """A picture of the flips, which only an earlier edgemnist wrote."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons not to rely on the figures, in words: a reference that only guesses, data from another source."""
    input: InputSpec | UnsetType = UNSET
    """What models read, where that is not the default task's input."""


def verdict_on(artifacts: Iterable[ArtifactParity], unusable: Iterable[Unusable] = ()) -> Verdict:
    """Return the verdict on models, and on artifacts that could not be verified."""
    others = {one.name: Verdict(outcome=one.outcome, reasons=[one.reason]) for one in unusable}
    return joint({one.name: one.verdict for one in artifacts} | others)


class GateResult(Result, frozen=True, kw_only=True):
    """`edgemnist verify --show-gate`."""

    gate: dict[str, Any]
    """What a gate file may say, with the limits in force."""
