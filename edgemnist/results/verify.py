"""What `edgemnist verify` prints and saves."""

from __future__ import annotations

from typing import Any

import msgspec

from edgemnist.results import Part, Result
from edgemnist.results.data import DataIdentity

KERAS_MODEL = "Keras model"
"""What artifacts are compared with where no other reference is named."""


class Flip(Part, frozen=True, kw_only=True):
    """An image whose label is not the reference's."""

    index: int
    """Its index among the evaluation images, from 0."""
    label: int | str
    """The true label."""
    reference: int | str
    """What the reference (the Keras model) says."""
    artifact: int | str | None
    """What the artifact says; None where it gave no finite answer."""
    reference_margin: float
    """Probability of the reference's answer less that of its second choice: how sure it was."""
    artifact_margin: float
    kind: str
    """`broken`: the reference was right; `fixed`: the artifact is; `changed`: from one wrong label to another."""


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
    that rule and not under its own; rounding adds up from layer to layer, above all in convolutions."""


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
    """The limit that holds where no other is asked for; None if there is none."""
    allowed: int | None = None
    """How many of the evaluation images it allows, with an allowance for chance if these are few; None if it does not
    count images."""
    own: bool = False
    """Whether a gate file or an option asked for it, and it differs from the built-in one."""


class ArtifactParity(Part, frozen=True, kw_only=True):
    """How close one artifact is to the Keras model, on every evaluation image."""

    name: str
    format: str
    quantization: str
    runtime: str
    accuracy: float
    accuracy_drop_points: float
    """Percentage points below the Keras model; negative where the artifact is better."""
    flips: int
    """Images whose label differs from the Keras model's."""
    agreement: float
    """Share of the images with the Keras model's label."""
    max_abs_diff: float
    mean_abs_diff: float
    """Of the probabilities, against the Keras model's."""
    max_batch_diff: float
    """Largest difference of a probability between a batch of 1 and a batch of N."""
    batch_flips: int
    """Labels that differ between a batch of 1 and a batch of N."""
    ties: int = 0
    """Flips that are ties: the artifact finds the Keras model's label as likely as its own. They miss no gate."""
    passed: bool
    reasons: list[str]
    """Each gate that was missed, in words; empty where all were met."""
    replay: Replay | None = None
    """Against the exporting machine's answers; None where those are not recorded."""
    sha256: str
    """Of the artifact that was verified: a result holds for this file only."""
    flipped: list[Flip] = msgspec.field(default_factory=list)
    """Every image whose label changed, in order."""
    accuracy_interval: Interval | None = None
    """Wilson's interval of the accuracy; None where SciPy is not installed."""
    mcnemar_p: float | None = None
    """How likely the numbers of broken and fixed images are to differ this much if the artifact were as accurate as the
    reference (McNemar's exact test); None where SciPy is not installed."""
    ece: float | None = None
    """Expected calibration error of the confidences, 0 to 1, see `edgemnist.verify.statistics`."""
    reference_ece: float | None = None
    """The same for the reference."""
    integer: IntegerCheck | None = None
    """For a full-int8 TFLite file of dense layers; None for any other."""
    gate: dict[str, Limit] = msgspec.field(default_factory=dict)
    """The limits it had to meet, by their names in a gate file; empty in a file that an earlier edgemnist saved."""


class Unusable(Part, frozen=True, kw_only=True):
    """A recorded artifact that could not be verified."""

    name: str
    status: str
    """`damaged`, `missing`, or `refused` by its runtime."""
    reason: str


class Voter(Part, frozen=True, kw_only=True):
    """One of several models that answer for int8."""

    artifact: str
    runtime: str
    alone: int
    """Images on which all others agree on another label."""


class Vote(Part, frozen=True, kw_only=True):
    """What the int8 voters say about each image: two runtimes that disagree cannot tell which of them is wrong."""

    voters: list[Voter]
    agreed: int
    """Images on which all give the same label."""
    undecided: int
    """Images on which they split in any way other than all against one."""
    odd_one_out: str | None
    """`<runtime> (<artifact>)` of the voter that stands alone most often; None if there is no such one."""


class LayerError(Part, frozen=True, kw_only=True):
    """What quantization did to the output of one layer, over all evaluation images."""

    layer: int
    """From 1, counting only operators that compute: neither reshaping nor conversion of types."""
    operator: str
    """As in the TFLite schema, such as `FULLY_CONNECTED`."""
    tensor: str
    """Name of the output in the quantized file."""
    sqnr_db: float | None
    """Signal-to-quantization-noise ratio in dB of everything up to here; None where nothing differs."""
    cosine: float
    """Cosine of the two outputs, each as one long vector: 1 where they point the same way."""
    range_sqnr_db: float | None
    """The same ratio where the float model's output is only put into this tensor's scale and back: what its calibration
    costs by itself. None where nothing differs, or where the tensor stays float."""
    clipped: float
    """Share of the float model's values that lie outside what this tensor can hold, 0 to 1."""
    weight_sqnr_db: float | None
    """The same ratio for the layer's weights; None if there are none, or where nothing differs."""


class ArtifactLayers(Part, frozen=True, kw_only=True):
    """`edgemnist verify --layers`, for one artifact."""

    name: str
    reference: str
    """The float artifact whose layers it is compared with."""
    images: int
    layers: list[LayerError]
    hurt: int | None
    """The layer whose calibration costs too much, see `edgemnist.verify.layers`; None where none does."""
    sha256: str = ""
    reference_sha256: str = ""
    """Of both files: the figures hold for these files only."""


class RoundingRule(Part, frozen=True, kw_only=True):
    """One model's answers against those of the integer reference, computed under one rounding rule."""

    rescaling: str
    """How sums of products are rounded to the next scale: `single`, `double` (as in gemmlowp) or `float`."""
    softmax: str
    """What the softmax is computed in: `integer` or `float`."""
    differing: int
    """Probabilities that are not the same, of images × classes."""
    images: int
    """Images with such a probability."""
    flips: int
    """Images with another label."""
    max_abs_diff: float
    """Of a probability."""


class ModelRounding(Part, frozen=True, kw_only=True):
    """Which rule a model rounds by, as far as its answers tell."""

    name: str
    rules: list[RoundingRule]
    """All rules, the best fit first; among equals, the one nearest to the reference first."""


class VerifyResult(Result, frozen=True, kw_only=True):
    """`edgemnist verify`, and the contents of `verify.json`."""

    passed: bool
    images: int
    reference_accuracy: float
    """Accuracy of the Keras model."""
    data: DataIdentity
    model_sha256: str
    artifacts: list[ArtifactParity]
    unusable: list[Unusable] = msgspec.field(default_factory=list)
    """Recorded artifacts whose files are damaged or missing; only if no artifact was named."""
    seconds: float
    reference: str = KERAS_MODEL
    """What the artifacts were compared with: the Keras model, or the file that `--reference` named."""
    vote: Vote | None = None
    """None unless three runtimes answered with one int8 file."""
    layers: list[ArtifactLayers] = msgspec.field(default_factory=list)
    """Only with `--layers`."""
    rounding: list[ModelRounding] = msgspec.field(default_factory=list)
    """Only with `--rounding`."""
    flip_sheet: str | None = None
    """The PNG that `--sheet` wrote."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons not to rely on the figures, in words: a reference that only guesses, data from another source."""


class GateResult(Result, frozen=True, kw_only=True):
    """`edgemnist verify --show-gate`."""

    gate: dict[str, Any]
    """What a gate file may say, with the limits in force."""
