"""`edgemnist all` finds out everything that the report has room for."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemnist.all import run_pipeline
from edgemnist.bench.config import BenchConfig
from edgemnist.data.sources import find_dataset
from edgemnist.export.interface import ExportConfig
from edgemnist.exports import Exports
from edgemnist.report.data import read_report_data
from edgemnist.train.recipes import TrainConfig

pytestmark = pytest.mark.slow


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
    assert facts.verified.layers == result.verify.layers
    assert [one.name for one in result.verify.layers] == ["tflite-int8"]
