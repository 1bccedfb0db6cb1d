"""Two files side by side: ours or not, and the slower one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgemnist.bench.config import BenchConfig
from edgemnist.compare.run import pair
from edgemnist.errors import ManifestError, UnknownNameError, UsageError
from edgemnist.exports.manifest import read_manifest
from tests.conftest import Run
from tests.notices import Notices

QUICK = BenchConfig(samples=300, seconds=0.0, rounds=3, batch_size=1, repeats=0)


def test_a_float_model_takes_longer_than_its_int8_form(made_exports: Path) -> None:
    result = pair(made_exports, ["onnx-float32", "tflite-int8"], QUICK, max_slowdown=1.1)
    assert (result.first.name, result.second.name) == ("onnx-float32", "tflite-int8")
    assert result.ratio.ratio > 1.2
    assert not result.passed


def test_a_file_that_no_manifest_knows_can_be_measured(made_exports: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "somebody-elses.tflite"
    foreign.write_bytes((made_exports / "tflite-int8.tflite").read_bytes())
    result = pair(made_exports, ["onnx-float32", str(foreign)], QUICK)
    assert result.second.name == str(foreign)
    assert result.second.sha256 == read_manifest(made_exports).artifact("tflite-int8").sha256
    assert result.ratio.verdict == "slower"
    assert result.passed, "without a gate, slower is an answer and no failure"


def test_two_files_need_no_export_directory(made_exports: Path, tmp_path: Path) -> None:
    files = [str(made_exports / f"{name}.tflite") for name in ("tflite-int8", "tflite-int4")]
    notices = Notices()
    result = pair(tmp_path, files, QUICK, reporter=notices)
    assert [result.first.name, result.second.name] == files
    assert notices.messages == [f"{tmp_path} holds no manifest.json, so the images are those of the reference."]
    with pytest.raises(ManifestError, match=r"holds no manifest\.json"):
        pair(tmp_path, [files[0], "tflite-int8"], QUICK)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ManifestError):
        pair(tmp_path, files, QUICK)


def test_a_file_against_itself_shows_the_noise(made_exports: Path) -> None:
    result = pair(made_exports, ["tflite-int8", "tflite-int8"], QUICK)
    assert result.second.name == "tflite-int8 again"
    assert result.ratio.low <= result.ratio.ratio <= result.ratio.high
    assert result.samples_us is not None
    assert [len(side) for side in result.samples_us.values()] == [3, 3]


@pytest.mark.parametrize("names", [[], ["tflite-int8"], ["tflite-int8", "tflite-int4", "onnx-int8"]])
def test_a_pair_is_two(names: list[str], made_exports: Path) -> None:
    with pytest.raises(UsageError, match="two artifacts"):
        pair(made_exports, names, QUICK)


def test_an_unknown_name_and_too_few_rounds_are_wrong_usage(made_exports: Path) -> None:
    with pytest.raises(UnknownNameError, match="tflite-int8"):
        pair(made_exports, ["tflite-int88", "tflite-int8"], QUICK)
    with pytest.raises(UsageError, match="--rounds 2"):
        pair(made_exports, ["tflite-int8", "tflite-int4"], BenchConfig(rounds=2))


def test_the_command_line_catches_a_slowdown_with_exit_1(exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    quick = [
        "bench",
        "tflite-int8",
        "--exports",
        exports,
        "--seconds",
        "0.1",
        "--batch-size",
        "1",
        "--repeats",
        "0",
        "--rounds",
        "3",
    ]
    saved = tmp_path / "before.json"
    assert edgemnist(*quick, "--save", saved).returncode == 0
    # Three times as slow stands out however busy the machine is.
    slower = edgemnist(*quick, "--baseline", saved, "--max-slowdown", "1.10", "--slow-down", "3", "--json")
    assert slower.returncode == 1, slower.stderr
    change = json.loads(slower.stdout)["baseline"]["changes"][0]
    assert change["ratio"]["verdict"] == "slower"
    assert change["ratio"]["low"] > 1.1
    assert edgemnist(*quick, "--pair", "--baseline", saved).returncode == 2
    assert edgemnist(*quick, "--baseline", saved, "--max-slowdown", "0.5").returncode == 2
