"""What `edgemnist train`, `export`, `all`, `report` and `search` print."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from edgemnist.ground.inputs import InputSpec, noun_of
from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.bench import BenchResult, Decision
from edgemnist.ground.results.data import DataIdentity, Footprint
from edgemnist.ground.results.verdict import Verdict
from edgemnist.ground.results.verify import VerifyResult


class Epoch(Part, frozen=True, kw_only=True):
    """One epoch of a training."""

    epoch: int
    """From 1."""
    loss: float
    accuracy: float
    """On the (augmented) training images, while training."""
    test_accuracy: float | None = None
    """None: no recipe looks at the evaluation images while it trains."""
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
    """Only in a file of 0.1.0, which kept what Ctrl-C had ended."""
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
    pictures: dict[str, str] = msgspec.field(default_factory=dict)
    """PNG files, by the name of what they show, in a file of 0.1.0; otherwise empty."""
    versions: dict[str, str]
    planned_epochs: int | None = None
    """Epochs that were asked for, by an option or the recipe; None in a file that an earlier edgemnist wrote."""
    teacher: str | None = None
    """File name of the teacher, where the recipe has one."""
    teacher_seed: int | None = None
    """None without a teacher, and in a file that an earlier edgemnist wrote."""
    robustness: dict[str, float] = msgspec.field(default_factory=dict)
    """Accuracy on the test images under conditions that boards see, in a file of 0.1.0; otherwise empty."""
    recipe_version: str | None = None
    """Version of the recipe, which keeps its name when it changes; None in a file from before it was recorded."""
    temperature: float | None = None
    """Number by which the logits were divided at the end, so that confidences mean what they say; None where the recipe
    leaves the logits as they are."""
    network: str | None = None
    """Family, side, layers and bits, as `--network` takes them; None in a file that an earlier edgemnist wrote."""
    input: InputSpec | UnsetType = UNSET
    """What the model reads; not written where it is the default task's input."""


class ExportedArtifact(Footprint, frozen=True, kw_only=True):
    """One file that an export wrote."""

    name: str
    format: str
    quantization: str
    file: str
    """Path of the file."""
    bytes: int
    sha256: str
    rounding: str | UnsetType = UNSET
    """The rule by which a C file or a page rounds, `single` or `double`; not of other files."""


class RefusedArtifact(Part, frozen=True, kw_only=True):
    """One file that an export could not make."""

    name: str
    format: str
    quantization: str
    reason: str
    """One sentence that names the layer, or the package that is missing."""
    hint: str = ""
    """What to do; may be empty."""
    exit_code: int = 2
    """Exit code that the reason stands for: that of the command, where the artifact was named."""


class ExportResult(Result, frozen=True, kw_only=True):
    """`edgemnist export`."""

    model: str
    model_sha256: str
    golden: str
    """Path of the golden pack."""
    golden_images: int
    artifacts: list[ExportedArtifact]
    refused: list[RefusedArtifact] = msgspec.field(default_factory=list)
    """Artifacts that could not be made; the others were."""
    input_range: str = "0..1"
    """What a black pixel and a white one are to the model."""
    input: InputSpec | UnsetType = UNSET
    """What it reads, where that is not the default task's input."""

    @property
    def noun(self) -> str:
        """What messages call one input."""
        return noun_of(self.input)


class PipelineResult(Result, frozen=True, kw_only=True):
    """`edgemnist all`."""

    train: TrainResult
    export: ExportResult
    verify: VerifyResult
    bench: BenchResult
    decision: Decision
    """What to ship."""


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


class SearchLimits(Part, frozen=True, kw_only=True):
    """The limits that were asked for; null means no limit."""

    accuracy: float | None
    """Least share of the test images that the network gets right."""
    bytes: int | None
    """Largest size of the weights and biases."""
    ram_bytes: int | None
    """Most static memory and stack of the C file."""
    p50_us: float | None = None
    """Largest median latency of one image, which only an earlier edgemnist took."""


class SearchTrial(Part, frozen=True, kw_only=True):
    """A network that was tried."""

    network: str
    """As `edgemnist train --network` takes it."""
    bytes: int
    ram_bytes: int
    """Static memory and stack of its C file."""
    multiplications: int
    """For one image, if none is skipped."""
    p50_us: float | None = None
    """Latency of an untrained network of this shape, which only an earlier edgemnist measured."""
    tainted: bool = False
    """Whether the machine was disturbed when `p50_us` was measured."""
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
    """What it is chosen for, such as `accuracy` and `bytes`; of named networks, what no other does as well for less."""
    name: str
    """Name of the one artifact that all figures describe, and that is shipped: the C file."""
    parameters: int
    bytes: int
    """Size of its weights and biases, packed in the bits that it keeps them in."""
    file_bytes: int
    """Size of its file: of a C file, that of the source."""
    ram_bytes: int | None
    """Its static memory and stack; null for a TFLite file."""
    multiplications: int
    p50_us: float
    """Its latency of one image."""
    tainted: bool = False
    """Whether the machine was disturbed when `p50_us` was measured."""
    selection_accuracy: float | None
    """On the selection images, after the short training of the search; null for a network that was named."""
    accuracy: float
    """On the test images."""
    flips: int
    """Test images whose label differs from the Keras model's."""
    passed: bool
    """Whether it passed its parity gate."""
    misses: list[str]
    """Limits and gates that it misses, or of which nothing is known, in words; empty for a network that fits."""
    verdict: Verdict = msgspec.field(default_factory=Verdict)
    """On its limits and its parity gate."""


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
