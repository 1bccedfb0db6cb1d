"""`edgemnist all`: train → export → verify → bench, and what to ship."""

from __future__ import annotations

from pathlib import Path

from edgemnist.bench.config import BenchConfig
from edgemnist.bench.recommend import recommend
from edgemnist.bench.run import bench, save_bench
from edgemnist.data.interface import Dataset
from edgemnist.export.config import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import BenchResult, PipelineResult, PipelineRow, VerifyResult
from edgemnist.train.config import TrainConfig
from edgemnist.train.run import train
from edgemnist.verify.gate import LimitOverrides
from edgemnist.verify.run import save_verification, verify


def run_pipeline(
    dataset: Dataset,
    exports: Path,
    *,
    train_config: TrainConfig,
    export_config: ExportConfig,
    bench_config: BenchConfig,
    reporter: Reporter = SILENT,
) -> PipelineResult:
    """Run every stage on `dataset`, leaving its files in `exports`.

    A missed parity gate does not stop it: the result says which artifacts passed. Raises what the stages raise, and
    KeyboardInterrupt after a training that was interrupted.
    """
    trained = train(dataset, train_config, exports, reporter)
    if trained.interrupted:
        # What was learnt so far is saved; the user wants to stop, and not only the training.
        raise KeyboardInterrupt
    exported = export_model(export_config, dataset, exports, reporter)
    verified = verify(exports, None, LimitOverrides(), reporter, layers=True)
    save_verification(exports, verified, reporter)
    benched = bench(exports, None, bench_config, reporter)
    save_bench(exports, benched, reporter)
    recommended, reason = recommend(verified, benched)
    return PipelineResult(
        train=trained,
        export=exported,
        verify=verified,
        bench=benched,
        rows=pipeline_rows(verified, benched),
        recommended=recommended,
        reason=reason,
    )


def pipeline_rows(verified: VerifyResult, benched: BenchResult) -> list[PipelineRow]:
    """Join what was verified with what was measured, by artifact."""
    latencies = {latency.name: latency for latency in benched.results}
    return [
        PipelineRow(
            name=parity.name,
            bytes=latencies[parity.name].bytes,
            accuracy=parity.accuracy,
            flips=parity.flips,
            passed=parity.passed,
            p50_us=latencies[parity.name].p50_us,
            speedup=latencies[parity.name].speedup,
        )
        for parity in verified.artifacts
        if parity.name in latencies
    ]
