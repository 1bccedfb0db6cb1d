"""`edgemnist all`: train → export → verify → bench, and what to ship."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import asdict

from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench
from edgemnist.data.dataset import Dataset
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports.directory import Exports
from edgemnist.exports.findings import choose
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.pipeline import PipelineResult, PipelineRow
from edgemnist.train.recipes import TrainConfig
from edgemnist.train.run import train
from edgemnist.verify.run import verify


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
        # What was learned so far is saved; the user wants to stop, and not only the training.
        raise KeyboardInterrupt
    exported = export_model(export_config, dataset, exports, reporter)
    opened = Exports.open(exports)
    verified = verify(opened, reporter=reporter, layers=True)
    opened.findings.save_verification(verified, reporter)
    benched = bench(opened, None, bench_config, reporter)
    opened.findings.save_bench(benched, reporter)
    latencies = {latency.name: latency for latency in benched.results}
    # A row has fields of both.
    rows = [
        msgspec.convert({**asdict(latencies[parity.name]), **asdict(parity)}, PipelineRow)
        for parity in verified.artifacts
        if parity.name in latencies
    ]
    recommended, reason = choose(verified.artifacts, benched.results)
    return PipelineResult(
        train=trained,
        export=exported,
        verify=verified,
        bench=benched,
        rows=rows,
        recommended=recommended,
        reason=reason,
    )
