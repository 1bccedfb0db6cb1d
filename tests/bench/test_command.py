"""A gate that would compare nothing is wrong usage: a job that forgot an option must not go green."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench_against
from edgemnist.errors import UsageError
from edgemnist.exports.directory import Exports
from tests.conftest import Run


def test_a_limit_without_a_baseline_is_wrong_usage(made_exports: Path) -> None:
    with pytest.raises(UsageError, match="--max-slowdown has nothing to compare with"):
        bench_against(Exports.open(made_exports), ["tflite-int8"], BenchConfig(), max_slowdown=1.1)


@pytest.mark.parametrize("limit", [math.nan, math.inf, 0.9])
def test_a_limit_is_a_ratio_of_at_least_1(limit: float, made_exports: Path) -> None:
    with pytest.raises(UsageError, match="--max-slowdown must be at least 1"):
        bench_against(Exports.open(made_exports), ["tflite-int8"], BenchConfig(), max_slowdown=limit)


def test_the_command_line_says_what_is_missing(exports: Path, edgemnist: Run) -> None:
    done = edgemnist("bench", "tflite-int8", "--exports", exports, "--max-slowdown", "1.1")
    assert done.returncode == 2
    assert "--max-slowdown has nothing to compare with" in done.stderr


def test_the_command_line_catches_a_slowdown_with_exit_1(exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    quick = ["bench", "tflite-int8", "--exports", exports, "--seconds", "0.1", "--batch-size", "1"]
    quick += ["--repeats", "0", "--rounds", "3"]
    saved = tmp_path / "before.json"
    assert edgemnist(*quick, "--save", saved).returncode == 0
    # Three times as slow stands out however busy the machine is.
    slower = edgemnist(*quick, "--baseline", saved, "--max-slowdown", "1.10", "--slow-down", "3", "--json")
    assert slower.returncode == 1, slower.stderr
    change = json.loads(slower.stdout)["baseline"]["changes"][0]
    assert change["ratio"]["verdict"] == "slower"
    assert change["ratio"]["low"] > 1.1
    assert edgemnist(*quick, "--baseline", saved, "--max-slowdown", "0.5").returncode == 2
