"""A gate that would compare nothing is wrong usage: a job that forgot an option must not go green."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from edgemnist.bench.cli import bench_page
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.run import bench, bench_against
from edgemnist.errors import UsageError
from edgemnist.exports import Exports
from tests.conftest import Run
from tests.render.test_narrow import lines_of


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


def test_each_model_has_one_line_about_its_quality_and_the_page_ends_with_the_next_step(made_exports: Path) -> None:
    exports = Exports.open(made_exports)
    result = bench(
        exports, ["tflite-int8", "tflite-int4"], BenchConfig(samples=10, seconds=0.0, rounds=1, batch_size=10)
    )
    several = ["p99 is left out: it needs 1,000 samples, but there are 10", "the rounds differ by 30 % in p50"]
    rows = [msgspec.structs.replace(one, warnings=several) for one in result.results]
    lines = lines_of(bench_page(msgspec.structs.replace(result, results=rows), exports.command("recommend")), 200)
    assert sum(line.startswith("quality: ") for line in lines) == 2 + len(result.warnings)
    assert not any("doubt" in line for line in lines)
    assert "Images a second in batches of 10." in lines
    fastest = min(result.results, key=lambda one: one.p50_us).name
    assert lines[-1].startswith(f"{fastest} is the fastest")
    assert lines[-1].endswith(f"Next: edgemnist recommend --exports {made_exports}")
