"""`edgemnist all` finds out all that the report has room for; what the tests share comes out of the commands again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import MANIFEST_FILE, read_manifest
from edgemnist.pipeline.all import run_pipeline
from edgemnist.pipeline.bench.run import BenchConfig
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.report.page import read_report_data
from edgemnist.pipeline.train.recipes import TrainConfig
from tests.conftest import MADE_EXPORTS, MAKING_EXPORTS, Run


def test_nothing_is_missing_in_the_report_afterwards(tmp_path: Path) -> None:
    result = run_pipeline(
        find_dataset(download=False),
        tmp_path,
        train_config=TrainConfig(recipe="baseline", hidden=(8,), epochs=1),
        export_config=ExportConfig.of(formats=["tflite"], quantizations=["int8", "float32"]),
        bench_config=BenchConfig(seconds=0, keras=False),
    )
    facts = read_report_data(Exports.open(tmp_path))
    assert facts.missing() == []
    assert facts.verified is not None
    assert facts.verified.artifacts == result.verify.artifacts


HERE = {"sha256", "model_sha256", "bytes", "scale", "zero_point"}
"""What an artifact has of the processor and the versions that made it."""


def shape(document: Any) -> Any:
    """Return a document without what differs between machines."""
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items() if name not in {*HERE, "versions"}}
    return [shape(one) for one in document] if isinstance(document, list) else document


@pytest.mark.all
def test_the_commands_make_what_the_tests_share_and_the_same_bytes_again(edgemnist: Run, tmp_path: Path) -> None:
    for command in MAKING_EXPORTS:
        done = edgemnist(*command.split())
        assert done.returncode == 0, done.stderr
    made = tmp_path / "exports"
    texts = [(directory / MANIFEST_FILE).read_text() for directory in (made, MADE_EXPORTS)]
    assert shape(json.loads(texts[0])) == shape(json.loads(texts[1]))
    assert {path.name for path in MADE_EXPORTS.iterdir()} == {
        path.name for path in made.iterdir() if path.suffix != ".png"
    }
    first = read_manifest(made)
    shutil.copytree(made, tmp_path / "again")
    for artifact in first.artifacts:
        (tmp_path / "again" / artifact.file).unlink()
    done = edgemnist(*MAKING_EXPORTS[1].split(), "--exports", "again")
    assert done.returncode == 0, done.stderr
    assert read_manifest(tmp_path / "again") == first
