"""What each command found out: frozen, free of terminals and runtimes, and exactly what `--json` prints.

Every document carries `schema_version`; a field may be added within a version, never renamed or removed.
Shares such as accuracies and agreements lie between 0 and 1; drops are in percentage points, as their names say.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

SCHEMA_VERSION = 1
KERAS_MODEL = "Keras model"
"""What artifacts are held against where no other reference is named."""

ResultT = TypeVar("ResultT", bound="Result")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A document that a command prints or saves."""

    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Return the document as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document."""


# ------------------------------------------------------------------------------------------------ data


class DataIdentity(Part, frozen=True, kw_only=True):
    """Which images a model or a golden pack was made from."""

    source: str
    """Words for a person, such as `MNIST, IDX files in data/`."""
    train: int
    """How many training images."""
    test: int
    """How many evaluation images."""
    sha256: str
    """Hash of all images and labels, whatever file format held them."""
    reduced: bool = False
    """True for the small embedded set that stands in where the full one could not be had."""


class SplitSummary(Part, frozen=True, kw_only=True):
    """One split of a data set."""

    images: int
    per_class: dict[str, int]
    """Images by class label."""
    minimum: int
    maximum: int
    """Range of the pixels, 0 to 255."""
    mean: float
    sha256: str


class DataResult(Result, frozen=True, kw_only=True):
    """`edgemnist data`."""

    data: DataIdentity
    labels: list[str]
    train: SplitSummary
    test: SplitSummary
    sheet: str | None = None
    """The PNG that `--sheet` wrote."""


# ------------------------------------------------------------------------------------------------ train


class Epoch(Part, frozen=True, kw_only=True):
    """One epoch of a training."""

    epoch: int
    """From 1."""
    loss: float
    accuracy: float
    """On the (augmented) training images, while training."""
    test_accuracy: float | None = None
    """On the evaluation images, where the recipe asks for it."""
    learning_rate: float
    seconds: float


class TrainResult(Result, frozen=True, kw_only=True):
    """`edgemnist train`, and the contents of `training.json`."""

    recipe: str
    hidden: list[int]
    """Units of each hidden layer."""
    parameters: int
    epochs: int
    """Epochs that were run; fewer than asked for where `interrupted`."""
    batch_size: int
    seed: int
    interrupted: bool = False
    data: DataIdentity
    labels: list[str]
    train_accuracy: float
    test_accuracy: float
    fit_seconds: float
    """The training loop alone, compilation included, without imports and data loading."""
    history: list[Epoch]
    model: str
    """File name of the Keras model."""
    sha256: str
    """Hash of the Keras model file."""
    weights_sha256: str
    """Hash of the weights alone: the same seed on the same machine gives the same."""
    pictures: dict[str, str]
    """PNG files by what they show, such as `curves`."""
    versions: dict[str, str]
    teacher: str | None = None
    """File name of the teacher, where the recipe has one."""
    robustness: dict[str, float] = {}
    """Accuracy on the test images under conditions that boards see, by their name; empty where the recipe does not
    train for them."""
    temperature: float | None = None
    """By which the logits were divided at the end, so that confidences mean what they say; None where the recipe leaves
    them as they are."""


# ------------------------------------------------------------------------------------------------ export


class ExportedArtifact(Part, frozen=True, kw_only=True):
    """One file that an export wrote."""

    name: str
    format: str
    quantization: str
    file: str
    """Path of the file."""
    bytes: int
    sha256: str


class ExportResult(Result, frozen=True, kw_only=True):
    """`edgemnist export`."""

    model: str
    model_sha256: str
    golden: str
    """Path of the golden pack."""
    golden_images: int
    artifacts: list[ExportedArtifact]


# ------------------------------------------------------------------------------------------------ verify


class Flip(Part, frozen=True, kw_only=True):
    """An image whose label is not the reference's."""

    index: int
    """Among the evaluation images, from 0."""
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


class Replay(Part, frozen=True, kw_only=True):
    """How one artifact answers here, against how it answered on the machine that exported it."""

    verdict: str
    """`identical`, `rounding` (no value by more than one step), `drift` (by more), or `flips` (a label changed)."""
    images: int
    flips: int
    """Images with another label than there."""
    differing: int
    """Values, of `images` times classes, that are not the same to the last bit."""
    beyond_rounding: int
    """Values that differ by more than rounding explains."""
    max_abs_diff: float
    max_steps: int | None
    """The same in steps of a quantized output; None for a float one."""


class ArtifactParity(Part, frozen=True, kw_only=True):
    """How close one artifact is to the Keras model, over every evaluation image."""

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
    passed: bool
    reasons: list[str]
    """Each gate that was missed, in words; empty where all were met."""
    replay: Replay | None = None
    """Against the exporting machine's answers; None where those are not recorded."""
    sha256: str
    """Of the artifact that was verified: a result counts for this very file only."""
    flipped: list[Flip] = []
    """Every image whose label changed, in their order."""
    accuracy_interval: Interval | None = None
    """Wilson's interval of the accuracy; None where SciPy is not installed."""
    mcnemar_p: float | None = None
    """How likely the broken and the fixed differ in number as much as they do, if the artifact were as accurate as the
    reference (McNemar's exact test); None where SciPy is not installed."""
    ece: float | None = None
    """Expected calibration error of the confidences, 0 to 1, see `edgemnist.verify.statistics`."""
    reference_ece: float | None = None
    """The same of the reference."""
    integer: IntegerCheck | None = None
    """For a full-int8 TFLite file of dense layers; None for any other."""


class Voter(Part, frozen=True, kw_only=True):
    """One of several that answer for int8."""

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
    """Images on which they split otherwise than all against one."""
    odd_one_out: str | None
    """`<runtime> (<artifact>)` of the voter that stands alone most often; None where there is no such one."""


class LayerError(Part, frozen=True, kw_only=True):
    """What quantization did to the output of one layer, over all evaluation images."""

    layer: int
    """From 1, counting what computes: not reshaping, nor conversion of types."""
    operator: str
    """As in the TFLite schema, such as `FULLY_CONNECTED`."""
    tensor: str
    """Name of the output in the quantized file."""
    sqnr_db: float | None
    """Signal-to-quantization-noise ratio in dB of everything up to here; None where nothing differs."""
    cosine: float
    """Of the two outputs as one long vector: 1 where they point the same way."""
    range_sqnr_db: float | None
    """The same ratio where the float model's output is only put into this tensor's scale and back: what its calibration
    costs by itself. None where nothing differs, or where the tensor stays float."""
    clipped: float
    """Share of the float model's values that lie outside what this tensor can hold, 0 to 1."""
    weight_sqnr_db: float | None
    """The same ratio for the layer's weights; None where there are none, or where nothing differs."""


class ArtifactLayers(Part, frozen=True, kw_only=True):
    """`edgemnist verify --layers`, for one artifact."""

    name: str
    reference: str
    """The float artifact whose layers it is compared with."""
    images: int
    layers: list[LayerError]
    hurt: int | None
    """The layer whose calibration costs too much, see `edgemnist.verify.layers`; None where none does."""


class VerifyResult(Result, frozen=True, kw_only=True):
    """`edgemnist verify`, and the contents of `verify.json`."""

    passed: bool
    images: int
    reference_accuracy: float
    """Of the Keras model."""
    data: DataIdentity
    model_sha256: str
    artifacts: list[ArtifactParity]
    seconds: float
    reference: str = KERAS_MODEL
    """What the artifacts were held against: the Keras model, or the file that `--reference` named."""
    vote: Vote | None = None
    """None unless LiteRT, ONNX Runtime and the integer reference all answered for int8."""
    layers: list[ArtifactLayers] = []
    """Only with `--layers`."""
    flip_sheet: str | None = None
    """The PNG that `--sheet` wrote."""


class GateResult(Result, frozen=True, kw_only=True):
    """`edgemnist verify --show-gate`."""

    gate: dict[str, Any]
    """What a gate file may say, with the limits that hold."""


# ------------------------------------------------------------------------------------------------ bench


class Block(Part, frozen=True, kw_only=True):
    """One round of one artifact: the timed calls of one process."""

    samples: int
    p50_us: float
    mhz: float | None = None
    """Clock of the CPU it ran on, after the calls; None where the system does not tell."""
    celsius: float | None = None
    """Temperature of the hottest zone, after the calls."""
    attempts: int = 1
    """How often it was measured; more than once where something disturbed it."""
    taints: list[str] = []
    """What disturbed the last attempt, in words; empty for a clean one."""


class Histogram(Part, frozen=True, kw_only=True):
    """How the latencies of the timed calls are distributed, in bins whose edges grow by 2 %."""

    edges_us: list[float]
    """Lower edge of each bin that is not empty."""
    counts: list[int]


class CallSteps(Part, frozen=True, kw_only=True):
    """Where the time of a call with one image goes: medians in microseconds, without the cost of measuring."""

    prepare_us: float
    """Scaling or quantizing the pixels."""
    invoke_us: float
    """The runtime at work on the model."""
    finish_us: float
    """Dequantizing or copying the scores."""
    overhead_us: float
    """What is left of the p50: Python's part in between, checks and locks."""


class Latency(Part, frozen=True, kw_only=True):
    """What one artifact costs in its runtime."""

    name: str
    runtime: str
    threads: int
    batch_size: int
    """Of the throughput; the latencies are of a single image."""
    samples: int
    """Timed calls behind the percentiles, over all rounds."""
    p50_us: float
    p90_us: float | None
    p99_us: float | None
    """None, like every percentile, where there are fewer than ten samples beyond it: too few to tell."""
    p999_us: float | None = None
    """The 99.9th percentile, which needs 10,000 samples."""
    mean_us: float
    min_us: float
    throughput_per_s: float
    """Images a second at `batch_size`."""
    load_ms: float
    """From the path to a classifier that is ready to be called, once its runtime has been imported."""
    cold_start_ms: float
    """From process start to the first answer, interpreter and imports included."""
    peak_rss_mb: float | None
    """Of a process that loads the artifact and answers single images; 1 MB is 10^6 bytes. None on Windows."""
    bytes: int
    """Of the artifact file."""
    speedup: float | None = None
    """p50 of Keras `model(x)` divided by this p50; None where Keras was not measured."""
    cv: float | None = None
    """Coefficient of variation of the timed calls: standard deviation over mean."""
    first_call_us: float | None = None
    """The very first call of a process, which the percentiles leave out."""
    cold_cache_start_ms: float | None = None
    """Cold start where the runtime and the model had to be read from the disk; with `--cold-cache` only."""
    steps: CallSteps | None = None
    """None where the runtime does not tell the steps of a call apart."""
    histogram: Histogram | None = None
    blocks: list[Block] = []
    """The rounds, in their order."""
    warnings: list[str] = []
    """Reasons to doubt these figures, in words."""
    sha256: str


class Ratio(Part, frozen=True, kw_only=True):
    """A ratio of medians with its 95 % bootstrap interval; above 1 is slower."""

    ratio: float
    low: float
    high: float
    verdict: str
    """`slower`, `faster` or `same`; `unclear` where the difference is larger than the limit, and the noise as well."""


class Change(Part, frozen=True, kw_only=True):
    """One artifact against the same in an earlier run."""

    name: str
    runtime: str
    p50_us: float
    baseline_p50_us: float
    ratio: Ratio
    """This run over the earlier one."""
    noise: float
    """Share by which the p50 of the rounds of one run differ, the larger of both runs."""


class BaselineComparison(Part, frozen=True, kw_only=True):
    """A run against an earlier one."""

    file: str
    max_slowdown: float
    """Ratio up to which an artifact counts as unchanged."""
    passed: bool
    """Whether no artifact is slower than that by more than the noise."""
    changes: list[Change]
    warnings: list[str] = []
    """Reasons why the two runs do not compare, such as another host."""


class BenchResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench`, and the contents of `bench.json`."""

    host: dict[str, Any]
    """Facts about the machine: CPU, flags, governor, versions."""
    results: list[Latency]
    harness_us: float | None = None
    """p50 of a call of the null runtime that does nothing: what the measuring itself adds to each latency."""
    warnings: list[str] = []
    """Reasons to doubt all of the figures, in words, such as a governor that saves power."""
    baseline: BaselineComparison | None = None
    """Only with `--baseline`."""
    samples_us: dict[str, list[list[float]]] | None = None
    """Raw samples by artifact and round, in microseconds; only in a file written by `--save`."""
    warmup_us: dict[str, list[list[float]]] | None = None
    """The warm-up calls before them, kept apart."""


# ------------------------------------------------------------------------------------------------ recommend


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
    warnings: list[str] = []
    """Reasons to doubt the choice, in words."""


# ------------------------------------------------------------------------------------------------ predict


class Prediction(Part, frozen=True, kw_only=True):
    """The answer for one picture."""

    source: str
    digit: int | str
    """The label: a number where the labels are numbers, as in MNIST."""
    confidence: float
    probabilities: list[float]
    """In the order of `labels`."""
    inverted: bool = False
    """True where a dark digit on a light ground was turned round for the model."""
    label: int | str | None = None
    """The true label, where the image is one of the evaluation images."""
    image: list[list[int]] | None = None
    """28 rows of 28 pixels, 0 to 255: what the model was given; only with `--show`."""


class PredictResult(Result, frozen=True, kw_only=True):
    """`edgemnist predict`."""

    artifact: str
    runtime: str
    labels: list[str]
    predictions: list[Prediction]


# ------------------------------------------------------------------------------------------------ runtimes


class RuntimeStatus(Part, frozen=True, kw_only=True):
    """One runtime, and whether it can be used here."""

    name: str
    summary: str
    suffixes: list[str]
    installed: bool
    versions: dict[str, str]
    install: str | None
    """The pip line that brings what is missing."""


class FormatStatus(Part, frozen=True, kw_only=True):
    """One export format, and whether it can be written here."""

    name: str
    summary: str
    suffix: str
    quantizations: list[str]
    """The first is the default."""
    installed: bool
    versions: dict[str, str]
    install: str | None


class RuntimesResult(Result, frozen=True, kw_only=True):
    """`edgemnist runtimes`."""

    formats: list[FormatStatus]
    runtimes: list[RuntimeStatus]


# ------------------------------------------------------------------------------------------------ all


class PipelineRow(Part, frozen=True, kw_only=True):
    """One artifact in the summary of `edgemnist all`."""

    name: str
    bytes: int
    accuracy: float
    flips: int
    passed: bool
    p50_us: float
    speedup: float | None


class PipelineResult(Result, frozen=True, kw_only=True):
    """`edgemnist all`."""

    train: TrainResult
    export: ExportResult
    verify: VerifyResult
    bench: BenchResult
    rows: list[PipelineRow]
    recommended: str | None
    """Name of the artifact to ship; None where none passed its gate."""
    reason: str


def read_result(kind: type[ResultT], data: bytes) -> ResultT:
    """Decode a saved document. Raises `msgspec.MsgspecError` where it is not one of this kind."""
    return msgspec.json.decode(data, type=kind)
