"""What `edgemnist export`, `all`, `recommend`, `report` and `frontier` print."""

from __future__ import annotations

from typing import Any

import msgspec

from edgemnist.results.base import Part, Result
from edgemnist.results.bench import BenchResult
from edgemnist.results.data import DataIdentity
from edgemnist.results.train import TrainResult
from edgemnist.results.verify import VerifyResult


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
