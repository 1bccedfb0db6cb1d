"""`edgemnist all` finds out everything that the report has room for."""

from pathlib import Path

from edgemnist.model.exports import Exports
from edgemnist.pipeline.all import run_pipeline
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.report.page import read_report_data
from edgemnist.pipeline.train.recipes import TrainConfig


def test_nothing_is_missing_in_the_report_afterwards(tmp_path: Path) -> None:
    result = run_pipeline(
        find_dataset(download=False),
        tmp_path,
        train_config=TrainConfig(recipe="baseline", hidden=(8,), epochs=1),
        export_config=ExportConfig.of(formats=["tflite"], quantizations=["int8", "float32"]),
        bench_config=BenchConfig(samples=10, seconds=0.0, rounds=1, keras=False),
    )
    facts = read_report_data(Exports.open(tmp_path))
    assert facts.missing() == []
    assert facts.verified is not None
    assert facts.verified.artifacts == result.verify.artifacts
