"""The scenarios with real artifacts in real processes, and on the command line."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.results.bench import ScenarioResult
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.scenario import early_stopping_bound, run_scenario, scenario_table, tolerated_misses
from edgemnist.pipeline.bench.timing import ScenarioConfig
from edgemnist.pipeline.report.page import html_page, read_report_data
from tests.conftest import Run

pytestmark = pytest.mark.usefixtures("undisturbed")

QUICK = BenchConfig(samples=200, seconds=0.1, rounds=1, batch_size=1, repeats=0)


def run(exports: Path, scenario: ScenarioConfig, config: BenchConfig = QUICK) -> ScenarioResult:
    return run_scenario(Exports.open(exports), ["tflite-int8"], config, scenario)


def test_single_stream_bounds_the_90th_percentile(made_exports: Path) -> None:
    (one,) = run(made_exports, ScenarioConfig(name="single-stream")).results
    assert one.points[0].samples >= 200
    assert one.points[0].p90_us is not None
    assert one.p90_bound_us is not None
    assert one.p90_bound_us >= one.points[0].p90_us


def test_offline_finds_the_batch_size_with_the_highest_throughput(made_exports: Path) -> None:
    (one,) = run(made_exports, ScenarioConfig(name="offline")).results
    assert [point.setting for point in one.points] == [2**power for power in range(11)]
    assert one.best == max(one.points, key=lambda point: point.throughput_per_s).setting
    by_size = {point.setting: point for point in one.points}
    assert by_size[64].throughput_per_s == pytest.approx(64e6 / by_size[64].p50_us)
    # A batch costs less than as many single images.
    assert by_size[64].throughput_per_s > by_size[1].throughput_per_s


def test_a_server_holds_its_limit_at_the_rate_that_it_is_said_to(made_exports: Path) -> None:
    # Half a second of patience holds on the busiest machine.
    result = run(made_exports, ScenarioConfig(name="server", rate=200.0, p99_limit_ms=500))
    (one,) = result.results
    assert result.p99_limit_us == 500_000
    assert 200.0 in [point.setting for point in one.points]
    assert one.best is not None
    (best,) = [point for point in one.points if point.setting == one.best]
    assert best.holds
    assert best.p99_us is not None
    assert best.p99_us <= 500_000
    assert not any(point.holds for point in one.points if point.setting > one.best)
    rows = scenario_table(result).rows
    assert rows[0][:3] == ["tflite-int8", "asked for", "200/s"]
    assert rows[1][1:3] == ["highest that holds", f"{one.best:,.0f}/s"]


@pytest.mark.parametrize(
    "scenario",
    [ScenarioConfig(name="server", rate=1e9), ScenarioConfig(name="duty-cycle", rate=1e9)],
    ids=["server", "duty-cycle"],
)
def test_a_rate_that_cannot_be_reached_ends_and_is_doubted(scenario: ScenarioConfig, made_exports: Path) -> None:
    (one,) = run(made_exports, scenario).results
    assert one.points[-1].setting == 1e9
    assert one.points[-1].holds is not True
    assert one.warnings[0].startswith("1,000,000,000 a second cannot be reached: calls without a pause achieve ")


@pytest.mark.all
def test_the_command_line_plays_scenarios_keeps_them_and_the_report_shows_them(
    exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    # Tests before this one may have played some with the directory that this is a copy of.
    (exports / "scenarios.json").unlink(missing_ok=True)
    common = ["tflite-int8", "--exports", exports, "--seconds", "0.1", "--repeats", "0", "--rounds", "1"]
    done = edgemnist("bench", "--scenario", "single-stream", *common, "--threads", "2", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["scenario"] == "single-stream"
    assert [one["threads"] for one in document["results"]] == [2]
    saved = tmp_path / "offline.json"
    for options in (["offline", "--save", saved], ["duty-cycle", "--rate", "100"]):
        shown = edgemnist("bench", "--scenario", options[0], *common, *options[1:])
        assert shown.returncode == 0, shown.stderr
        assert "tflite-int8" in shown.stdout
    assert json.loads(saved.read_text())["results"][0]["points"][0]["samples_us"]
    kept = Exports.open(exports).findings.scenarios
    assert [one.scenario for one in kept] == ["single-stream", "offline", "duty-cycle"]
    assert all(point.samples_us is None for one in kept for played in one.results for point in played.points)
    page = html_page(read_report_data(Exports.open(exports)))
    assert all(f">{title}</h3>" in page for title in ("Single stream", "Offline", "Duty cycle"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "sever"}, "did you mean 'server'"),
        ({"name": "server", "rate": 0.0}, "--rate must be more than 0"),
        ({"name": "duty-cycle", "rate": -1.0}, "--rate must be more than 0"),
        ({"name": "offline", "rate": 5.0}, "offline has no --rate"),
        ({"name": "server", "p99_limit_ms": -1.0}, "--p99-limit"),
        ({"name": "server", "p99_limit_ms": math.nan}, "--p99-limit"),
        ({"name": "server", "rate": math.inf}, "--rate"),
        ({"name": "offline", "p99_limit_ms": 3.0}, "offline has no --p99-limit"),
        ({"name": "duty-cycle", "p99_limit_ms": 3.0}, "duty-cycle has no --p99-limit"),
    ],
)
def test_a_setting_that_a_scenario_does_not_have_is_wrong_usage(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        ScenarioConfig(**options)
    assert said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("queries", "discarded"),
    # What MLPerf's loadgen printed in published results: "Would discard N highest latency queries".
    [(100, 2), (201, 9), (659, 47), (708, 51), (2048, 172), (2145, 181), (7469, 685), (79944, 7796)],
)
def test_as_many_queries_are_discarded_as_by_loadgen(queries: int, discarded: int) -> None:
    assert tolerated_misses(queries) - 1 == discarded


def test_fewer_than_64_queries_bound_no_90th_and_fewer_than_662_no_99th_percentile() -> None:
    assert early_stopping_bound(list(range(63))) is None
    assert early_stopping_bound(list(range(64))) == 63
    assert tolerated_misses(661, percentile=0.99) == 0
    assert tolerated_misses(662, percentile=0.99) == 1


def test_the_true_percentile_lies_below_the_bound_in_99_of_100_runs() -> None:
    generator = np.random.default_rng(0)
    bounds = [early_stopping_bound(list(generator.exponential(size=300))) or 0.0 for _ in range(1_000)]
    assert 0.985 <= np.mean(np.array(bounds) >= -np.log(0.1)) < 1.0
