"""What each command found out: frozen, free of terminals and runtimes, and exactly what `--json` prints.

Every document carries `schema_version`; a field may be added within a version, never renamed or removed.
Shares such as accuracies and agreements lie between 0 and 1; drops are in percentage points, as their names say.
"""

from edgemnist.results.base import SCHEMA_VERSION, Part, Result, ResultT, read_result
from edgemnist.results.bench import BaselineComparison, BenchResult, Block, CallSteps, Change, Histogram, Latency, Ratio
from edgemnist.results.data import DataIdentity, DataResult, SplitSummary
from edgemnist.results.export import ExportedArtifact, ExportResult
from edgemnist.results.pipeline import PipelineResult, PipelineRow
from edgemnist.results.predict import Prediction, PredictResult
from edgemnist.results.recommend import Candidate, RecommendResult
from edgemnist.results.runtimes import ArtifactSupport, FormatStatus, RuntimesResult, RuntimeStatus
from edgemnist.results.train import Epoch, TrainResult
from edgemnist.results.verify import (
    KERAS_MODEL,
    ArtifactLayers,
    ArtifactParity,
    Flip,
    GateResult,
    IntegerCheck,
    Interval,
    LayerError,
    Limit,
    Replay,
    VerifyResult,
    Vote,
    Voter,
)

__all__ = [
    "KERAS_MODEL",
    "SCHEMA_VERSION",
    "ArtifactLayers",
    "ArtifactParity",
    "ArtifactSupport",
    "BaselineComparison",
    "BenchResult",
    "Block",
    "CallSteps",
    "Candidate",
    "Change",
    "DataIdentity",
    "DataResult",
    "Epoch",
    "ExportResult",
    "ExportedArtifact",
    "Flip",
    "FormatStatus",
    "GateResult",
    "Histogram",
    "IntegerCheck",
    "Interval",
    "Latency",
    "LayerError",
    "Limit",
    "Part",
    "PipelineResult",
    "PipelineRow",
    "PredictResult",
    "Prediction",
    "Ratio",
    "RecommendResult",
    "Replay",
    "Result",
    "ResultT",
    "RuntimeStatus",
    "RuntimesResult",
    "SplitSummary",
    "TrainResult",
    "VerifyResult",
    "Vote",
    "Voter",
    "read_result",
]
