"""Two files side by side: ours or not, and the slower one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgemnist.bench.config import BenchConfig
from edgemnist.compare import compare_models as compare
from edgemnist.compare import open_for
from edgemnist.errors import ManifestError, UnknownNameError, UsageError
from edgemnist.exports import Exports
from tests.notices import Notices

QUICK = BenchConfig(samples=300, seconds=0.0, rounds=3, batch_size=1, repeats=0)


def test_a_float_model_takes_longer_than_its_int8_form(made_exports: Path) -> None:
    result = compare(Exports.open(made_exports), "onnx-float32", "tflite-int8", QUICK, max_slowdown=1.1)
    assert (result.first.name, result.second.name) == ("onnx-float32", "tflite-int8")
    assert result.ratio.ratio > 1.2
    assert not result.passed


def test_a_file_that_no_manifest_knows_can_be_measured(made_exports: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "somebody-elses.tflite"
    foreign.write_bytes((made_exports / "tflite-int8.tflite").read_bytes())
    result = compare(Exports.open(made_exports), "onnx-float32", str(foreign), QUICK)
    assert result.second.name == str(foreign)
    assert result.second.sha256 == Exports.open(made_exports).artifact("tflite-int8").record.sha256
    assert result.ratio.verdict == "slower"
    assert result.passed, "without a gate, slower is an answer and no failure"


def test_two_files_need_no_export_directory(made_exports: Path, tmp_path: Path) -> None:
    files = [str(made_exports / f"{name}.tflite") for name in ("tflite-int8", "tflite-int4")]
    notices = Notices()
    result = compare(open_for(tmp_path, (files[0], files[1]), notices), files[0], files[1], QUICK, reporter=notices)
    assert [result.first.name, result.second.name] == files
    assert notices.messages == [f"{tmp_path} has no manifest.json, so the images are those of the reference."]
    with pytest.raises(ManifestError, match="is empty"):
        open_for(tmp_path, (files[0], "tflite-int8"))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ManifestError):
        open_for(tmp_path, (files[0], files[1]))


def test_a_file_against_itself_shows_the_noise(made_exports: Path, tmp_path: Path) -> None:
    result = compare(Exports.open(made_exports), "tflite-int8", "tflite-int8", QUICK, save=tmp_path / "pair.json")
    assert result.second.name == "tflite-int8 again"
    assert result.ratio.low <= result.ratio.ratio <= result.ratio.high
    saved = json.loads((tmp_path / "pair.json").read_text())
    assert [len(side) for side in saved["samples_us"].values()] == [3, 3]


def test_an_unknown_name_and_too_few_rounds_are_wrong_usage(made_exports: Path) -> None:
    with pytest.raises(UnknownNameError, match="tflite-int8"):
        compare(Exports.open(made_exports), "tflite-int88", "tflite-int8", QUICK)
    with pytest.raises(UsageError, match="--rounds must be at least 3"):
        compare(Exports.open(made_exports), "tflite-int8", "tflite-int4", BenchConfig(rounds=2))
