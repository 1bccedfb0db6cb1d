"""What each command found out: frozen, free of terminals and runtimes, and exactly what `--json` prints.

Every document carries `schema_version`; a field may be added within a version, never renamed or removed.
Shares such as accuracies and agreements lie between 0 and 1; drops are in percentage points, as their names say.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

SCHEMA_VERSION = 1

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
    sha256: str
    """Of the artifact that was verified: a result counts for this very file only."""


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


# ------------------------------------------------------------------------------------------------ bench


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
    p90_us: float
    p99_us: float
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
    sha256: str


class BenchResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench`, and the contents of `bench.json`."""

    host: dict[str, Any]
    """Facts about the machine: CPU, flags, governor, versions."""
    results: list[Latency]
    harness_us: float | None = None
    """p50 of the null runtime, which computes nothing: what the measuring itself adds to each latency."""
    samples_us: dict[str, list[list[float]]] | None = None
    """Raw samples by artifact and round, in microseconds; only in a file written by `--save`."""
    warmup_us: dict[str, list[list[float]]] | None = None
    """The warm-up calls before them, kept apart."""


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
