"""What `edgemnist train`, `export`, `all`, `recommend`, `report`, `frontier` and `search` print."""

from __future__ import annotations

from typing import Any

import msgspec

from edgemnist.results import Part, Result
from edgemnist.results.bench import BenchResult
from edgemnist.results.data import DataIdentity
from edgemnist.results.verify import VerifyResult


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
    """Units of each hidden layer; of a CNN those of its dense layers."""
    parameters: int
    epochs: int
    """Epochs that were run; fewer than asked for if `interrupted`."""
    batch_size: int
    seed: int
    interrupted: bool = False
    data: DataIdentity
    labels: list[str]
    train_accuracy: float
    test_accuracy: float
    fit_seconds: float
    """The training loop alone, including compilation but not imports and data loading."""
    history: list[Epoch]
    model: str
    """File name of the Keras model."""
    sha256: str
    """Hash of the Keras model file."""
    weights_sha256: str
    """Hash of the weights alone: the same seed on the same machine gives the same."""
    pictures: dict[str, str]
    """PNG files, by the name of what they show, such as `curves`."""
    versions: dict[str, str]
    planned_epochs: int | None = None
    """Epochs that were asked for, by an option or the recipe; None in a file that an earlier edgemnist wrote."""
    teacher: str | None = None
    """File name of the teacher, where the recipe has one."""
    teacher_seed: int | None = None
    """None without a teacher, and in a file that an earlier edgemnist wrote."""
    robustness: dict[str, float] = msgspec.field(default_factory=dict)
    """Accuracy on the test images under conditions that boards see, by their name; empty where the recipe does not
    train for them."""
    recipe_version: str | None = None
    """Version of the recipe, which keeps its name when it changes; None in a file from before it was recorded."""
    temperature: float | None = None
    """Number by which the logits were divided at the end, so that confidences mean what they say; None where the recipe
    leaves the logits as they are."""
    network: str | None = None
    """Family, side, layers and bits, as `--network` takes them; None in a file that an earlier edgemnist wrote."""

    @property
    def short_network(self) -> str:
        """The short name of the network: 784-512-10, or what `network` says."""
        layers = "-".join(map(str, self.hidden))
        if self.network in {None, f"mlp:28:{layers}:8bit"}:
            return "-".join(map(str, (784, *self.hidden, len(self.labels))))
        return str(self.network)


class ExportedArtifact(Part, frozen=True, kw_only=True):
    """One file that an export wrote."""

    name: str
    format: str
    quantization: str
    file: str
    """Path of the file."""
    bytes: int
    sha256: str
    flash_bytes: int | None = None
    """For a C file, flash of a microcontroller: weights, tables, and the most the engine takes; None for others."""
    ram_bytes: int | None = None
    """For a C file, RAM of a microcontroller, not counting the stack; None for others."""


class RefusedArtifact(Part, frozen=True, kw_only=True):
    """One file that an export could not make."""

    name: str
    format: str
    quantization: str
    reason: str
    """One sentence that names the layer."""


class ExportResult(Result, frozen=True, kw_only=True):
    """`edgemnist export`."""

    model: str
    model_sha256: str
    golden: str
    """Path of the golden pack."""
    golden_images: int
    artifacts: list[ExportedArtifact]
    refused: list[RefusedArtifact] = msgspec.field(default_factory=list)
    """Artifacts that the model cannot become, where none was asked for by name."""
    input_range: str = "0..1"
    """What a black pixel and a white one are to the model."""


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


class Candidate(Part, frozen=True, kw_only=True):
    """One artifact that was verified and measured."""

    name: str
    bytes: int
    accuracy: float
    passed: bool
    """Whether it met its parity gate: only then can it be recommended."""
    p50_us: float
    fits_in: str | None
    """The smallest cache that holds its file, such as `L2`; None where none does or none is known."""


class RecommendResult(Result, frozen=True, kw_only=True):
    """`edgemnist recommend`."""

    recommended: str | None
    """Name of the artifact to ship; None if there is none."""
    reason: str
    facts: list[str]
    """Facts about this board that matter for the choice, one sentence each."""
    candidates: list[Candidate]
    """Fastest first."""
    host: dict[str, Any]
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons not to rely on the choice, in words."""


class ReportResult(Result, frozen=True, kw_only=True):
    """`edgemnist report`."""

    file: str
    """Path of the page."""
    bytes: int
    recommended: str | None
    missing: list[str]
    """Commands that would complete the report, which lacks their results."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Which artifacts cannot be shipped, being damaged or of an earlier model, and why."""


class FrontierRow(Part, frozen=True, kw_only=True):
    """One artifact of one network."""

    hidden: list[int]
    """Units of each hidden layer."""
    parameters: int
    name: str
    """Name of the artifact, such as `tflite-int8`."""
    directory: str
    """Its export directory, within that of the frontier."""
    bytes: int
    accuracy: float
    reference_accuracy: float
    """Accuracy of the Keras model."""
    flips: int
    """Images whose label differs from the Keras model's."""
    passed: bool
    """Whether it passed its parity gate."""
    p50_us: float
    smallest: bool
    """No artifact that passed is both as small and as accurate, and better in one of the two; nor did this one fail."""
    fastest: bool
    """The same for p50 in place of size."""


class FrontierResult(Result, frozen=True, kw_only=True):
    """`edgemnist frontier`, and the contents of `frontier.json`."""

    recipe: str
    seed: int
    data: DataIdentity
    images: int
    """Evaluation images that the accuracies are based on."""
    rows: list[FrontierRow]
    """From the smallest file to the largest."""
    picture: str
    """PNG file of accuracy against bytes and against p50."""
    host: dict[str, Any]
    warnings: list[str]
    """Warnings about the quality of the latencies, in words."""


class SearchLimits(Part, frozen=True, kw_only=True):
    """The limits that were asked for; null means no limit."""

    accuracy: float | None
    """Least share of the test images that the network gets right."""
    bytes: int | None
    """Largest size of the weights and biases."""
    ram_bytes: int | None
    """Largest static memory of the C file."""
    p50_us: float | None
    """Largest median latency of one image."""


class SearchTrial(Part, frozen=True, kw_only=True):
    """A network that was tried."""

    network: str
    """As `edgemnist train --network` takes it."""
    bytes: int
    ram_bytes: int
    """Static memory of its C file."""
    multiplications: int
    """For one image, if none is skipped."""
    p50_us: float | None
    """Latency of an untrained network of this shape; null where no latency was asked for."""
    accuracy: float
    """On the selection images, after a short training."""
    stopped: bool
    """Whether its training was stopped early: a network that costs no more had been more accurate by then."""


class SearchRow(Part, frozen=True, kw_only=True):
    """One of the best networks, trained to the end."""

    network: str
    """As `edgemnist train --network` takes it."""
    directory: str
    """Its export directory, within that of the search."""
    best: list[str]
    """What it is chosen for, such as `accuracy` and `bytes`."""
    name: str
    """Name of the artifact that the figures describe: the fastest that passed its gate."""
    parameters: int
    bytes: int
    """Size of the weights and biases, packed in their bits."""
    file_bytes: int
    """Size of the artifact's file."""
    ram_bytes: int
    """Static memory of its C file."""
    multiplications: int
    p50_us: float
    """Latency of one image, on this machine or on the board."""
    selection_accuracy: float
    """On the selection images, after the short training of the search."""
    accuracy: float
    """On the test images."""
    flips: int
    """Test images whose label differs from the Keras model's."""
    passed: bool
    """Whether it passed its parity gate."""
    misses: list[str]
    """Limits and gates that it misses, in words; empty for a network that fits."""


class SearchResult(Result, frozen=True, kw_only=True):
    """`edgemnist search`, and the contents of `search.json`."""

    limits: SearchLimits
    recipe: str
    seed: int
    data: DataIdentity
    selection_images: int
    """The last of the training images, by which networks were chosen."""
    images: int
    """Test images that the accuracies of the rows are based on; they were used for these rows alone."""
    trained: int
    """Networks that were tried, those that were stopped early included."""
    stopped: int
    rejected: int
    """Networks that exceeded a limit and were not trained."""
    rows: list[SearchRow]
    """The best networks, the most accurate first; where nothing fits, the nearest miss."""
    trials: list[SearchTrial]
    """In the order in which they were tried."""
    picture: str
    """PNG file of accuracy against bytes and against latency."""
    measured_on: str
    """Where the latencies were measured: a board, or `this machine`."""
    host: dict[str, Any]
    """This machine."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Reasons not to rely on the figures, in words."""

    @property
    def fits(self) -> bool:
        """Whether a network is within all limits."""
        return any(not row.misses for row in self.rows)
