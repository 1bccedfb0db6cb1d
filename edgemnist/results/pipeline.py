"""What `edgemnist all` prints."""

from __future__ import annotations

from edgemnist.results.base import Part, Result
from edgemnist.results.bench import BenchResult
from edgemnist.results.export import ExportResult
from edgemnist.results.train import TrainResult
from edgemnist.results.verify import VerifyResult


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
