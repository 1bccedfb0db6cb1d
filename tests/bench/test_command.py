"""A gate that would compare nothing is wrong usage: a job that forgot an option must not go green."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from edgemnist.bench.command import Request
from edgemnist.bench.config import BenchConfig
from edgemnist.errors import UsageError
from edgemnist.scenario.run import ScenarioConfig
from tests.conftest import Run

SERVER = ScenarioConfig(name="server")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_slowdown": 1.1}, "--max-slowdown has nothing to compare with"),
        ({"max_slowdown": 1.1, "scenario": SERVER}, "A scenario is not compared"),
        ({"scenario": SERVER, "pair": True}, "A scenario is not compared"),
        ({"scenario": SERVER, "baseline": Path("b.json")}, "A scenario is not compared"),
        ({"pair": True, "baseline": Path("b.json")}, "two ways to compare"),
        ({"max_slowdown": math.nan, "pair": True}, "--max-slowdown nan"),
        ({"max_slowdown": math.inf, "pair": True}, "--max-slowdown inf"),
        ({"max_slowdown": 0.9, "pair": True}, "--max-slowdown 0.9"),
    ],
)
def test_what_makes_no_sense_together_is_wrong_usage(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Request(artifacts=["tflite-int8"], config=BenchConfig(), **options)


@pytest.mark.parametrize("mode", [{"pair": True}, {"scenario": SERVER}])
def test_keras_is_not_asked_for_where_it_would_not_be_measured(mode: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--keras goes with neither"):
        Request(artifacts=["tflite-int8"], config=BenchConfig(keras=True), **mode)
    Request(artifacts=["tflite-int8"], config=BenchConfig(keras=False), **mode)


@pytest.mark.parametrize("comparison", [{"pair": True}, {"baseline": Path("b.json")}])
def test_a_limit_goes_with_either_comparison(comparison: dict[str, Any]) -> None:
    Request(artifacts=["tflite-int8"], config=BenchConfig(), max_slowdown=1.1, **comparison)


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--max-slowdown", "1.1"], "--max-slowdown"), (["--p99-limit", "3"], "--p99-limit is for --scenario server")],
)
def test_the_command_line_says_what_is_missing(options: list[str], said: str, exports: Path, edgemnist: Run) -> None:
    done = edgemnist("bench", "tflite-int8", "--exports", exports, *options)
    assert done.returncode == 2
    assert said in done.stderr
