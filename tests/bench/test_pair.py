"""Two files side by side: ours or not, and the slower one is named."""

import json
from pathlib import Path

import pytest

from edgemnist.errors import UsageError
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.run import compare_models as compare
from tests.notices import Notices

pytestmark = pytest.mark.usefixtures("undisturbed")
QUICK = BenchConfig(samples=300, seconds=0.0, rounds=3, batch_size=1, repeats=0)


def test_a_float_model_takes_longer_than_its_int8_form(made_exports: Path) -> None:
    result = compare(Exports.open(made_exports), ["onnx-float32", "tflite-int8"], QUICK, max_slowdown=1.1)
    assert (result.first.name, result.second.name) == ("onnx-float32", "tflite-int8")
    assert result.ratio is not None
    assert result.ratio.ratio > 1.2
    assert not result.passed


def test_a_file_that_no_manifest_knows_can_be_measured(made_exports: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "somebody-elses.tflite"
    foreign.write_bytes((made_exports / "tflite-int8.tflite").read_bytes())
    result = compare(Exports.open(made_exports), ["onnx-float32", str(foreign)], QUICK)
    assert result.second.name == str(foreign)
    assert result.second.sha256 == Exports.open(made_exports).artifact("tflite-int8").record.sha256
    assert result.ratio is not None
    assert result.passed, "without a gate, whatever the ratio is, it is an answer and no failure"


def test_two_files_need_no_export_directory(made_exports: Path) -> None:
    files = [str(made_exports / f"{name}.tflite") for name in ("tflite-int8", "tflite-int4")]
    notices = Notices()
    result = compare(None, files, QUICK, reporter=notices)
    assert [result.first.name, result.second.name] == files
    assert notices.messages == [f"{files[0]} is timed with the images that come with edgemnist."]
    with pytest.raises(UsageError, match=r"two models \(1 named\)"):
        compare(None, files[:1], QUICK)


def test_a_file_against_itself_shows_the_noise(made_exports: Path, tmp_path: Path) -> None:
    result = compare(Exports.open(made_exports), ["tflite-int8"] * 2, QUICK, save=tmp_path / "pair.json")
    assert result.second.name == "tflite-int8 again"
    assert result.ratio is not None
    assert result.ratio.low <= result.ratio.ratio <= result.ratio.high
    saved = json.loads((tmp_path / "pair.json").read_text())
    assert [len(side) for side in saved["samples_us"].values()] == [3, 3]
