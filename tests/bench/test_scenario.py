"""The scenarios with real artifacts in real processes, and on the command line."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.ground.results.bench import ScenarioResult
from edgemnist.model.exports import Exports
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.scenario import early_stopping_bound, run_scenario, scenario_table, tolerated_misses
from edgemnist.pipeline.bench.timing import (
    ScenarioConfig,
    answer_poisson,
    calls_for,
    duty_cycle,
    server,
    timed_calls,
    typical_call,
)
from edgemnist.pipeline.report.page import html_page, read_report_data
from tests.conftest import Run
from tests.messages import Told

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
def test_the_command_plays_and_keeps_scenarios_for_the_report(exports: Path, edgemnist: Run, tmp_path: Path) -> None:
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


def test_a_setting_that_a_scenario_does_not_have_is_wrong_usage(told: Told) -> None:
    several: list[dict[str, Any]] = [
        {"name": "sever"},
        *({"name": name, "rate": rate} for name, rate in (("server", 0.0), ("duty-cycle", -1.0), ("server", math.inf))),
        {"name": "offline", "rate": 5.0},
        *({"name": "server", "p99_limit_ms": limit} for limit in (-1.0, math.nan)),
        *({"name": name, "p99_limit_ms": 3.0} for name in ("offline", "duty-cycle")),
    ]
    for options in several:
        with told():
            ScenarioConfig(**options)


def test_as_many_queries_are_discarded_as_by_loadgen_and_few_bound_no_percentile() -> None:
    # What MLPerf's loadgen printed in published results: "Would discard N highest latency queries".
    discarded = {100: 2, 201: 9, 659: 47, 708: 51, 2048: 172, 2145: 181, 7469: 685, 79944: 7796}
    assert {queries: tolerated_misses(queries) - 1 for queries in discarded} == discarded
    assert (early_stopping_bound(list(range(63))), early_stopping_bound(list(range(64)))) == (None, 63)
    assert [tolerated_misses(queries, percentile=0.99) for queries in (661, 662)] == [0, 1]


def test_the_true_percentile_lies_below_the_bound_in_99_of_100_runs() -> None:
    generator = np.random.default_rng(0)
    bounds = [early_stopping_bound(list(generator.exponential(size=300))) or 0.0 for _ in range(1_000)]
    assert 0.985 <= np.mean(np.array(bounds) >= -np.log(0.1)) < 1.0


IMAGES = np.zeros((4, 28, 28), np.uint8)
SINGLE = [IMAGES[index : index + 1] for index in range(4)]
MS = 1_000_000


def busy(_: object, seconds: float = 0.001) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_calls_are_as_many_and_take_as_long_as_was_asked_for() -> None:
    calls: list[int] = []
    assert len(timed_calls(calls.append, [1, 2, 3], samples=7, nanoseconds=0)) == 7
    assert calls == [1, 2, 3, 1, 2, 3, 1]
    started = time.perf_counter_ns()
    taken = timed_calls(time.sleep, [0.001], samples=1, nanoseconds=20 * MS)
    assert time.perf_counter_ns() - started >= 20 * MS
    # The last call is the one in which the time runs out.
    assert sum(taken[:-1]) < 20 * MS
    assert min(taken) >= MS


def test_queries_arrive_at_their_rate_and_have_taken_as_long_as_they_waited() -> None:
    started = time.perf_counter()
    assert len(answer_poisson(lambda _: None, SINGLE, 1_000, 200, seed=0)) == 200
    # 200 gaps of 1 ms on average: a sum with a deviation of 14 ms.
    assert time.perf_counter() - started > 0.14
    slept: list[float] = []
    started = time.perf_counter()
    answer_poisson(lambda _: None, SINGLE, 100, 5, seed=0, sleep=slept.append)
    # Every sleep ends a millisecond before its query is due.
    assert 0 < sum(slept) <= time.perf_counter() - started - 0.001 * len(slept)
    # Twice as many as can be answered: the queue grows, and with it what each query has waited.
    taken = answer_poisson(busy, SINGLE, 2_000, 100, seed=0)
    assert min(taken) >= MS
    assert np.median(taken[-20:]) > 20 * MS


@pytest.mark.all
def test_the_search_tries_rates_up_to_what_calls_without_a_pause_achieve() -> None:
    # A call of 0.02 ms: 50,000 a second, and a limit that is generous on a busy machine.
    trials = server(lambda _: busy(_, 0.00002), SINGLE, MS / 50, rate=None, limit_us=100_000, samples=0, nanoseconds=0)
    rates = [trial.setting for trial in trials]
    assert rates[0] == pytest.approx(500)
    assert max(rates) < 50_000
    held = [trial.setting for trial in trials if np.percentile(trial.samples, 99) <= 100 * MS]
    missed = [rate for rate in rates if rate not in held]
    # What held and what did not meet at one rate.
    assert not missed or max(held, default=0) < min(missed)


def test_a_limit_that_no_rate_holds_ends_the_search_at_once() -> None:
    trials = server(busy, SINGLE, MS / 100, rate=700.0, limit_us=0.001, samples=20, nanoseconds=0)
    assert [len(trial.samples) for trial in trials] == [20, 1_000]
    assert trials[0].setting == 700.0


def test_between_the_calls_of_a_duty_cycle_there_is_time_to_sleep() -> None:
    started = time.perf_counter()
    without, asleep = duty_cycle(lambda _: None, SINGLE, 1_000, rate=100, nanoseconds=0)
    assert time.perf_counter() - started >= 0.1
    assert (without.setting, asleep.setting) == (0, 100)
    assert (len(without.samples), len(asleep.samples)) == (1_000, 10)
    # The sleep is no part of a call.
    assert np.median(asleep.samples) < 5 * MS


def test_a_rate_that_cannot_be_reached_takes_no_longer_than_calls_without_a_pause() -> None:
    assert calls_for(50, typical=MS, samples=10, nanoseconds=1_000 * MS) == 50
    assert calls_for(1e9, typical=MS, samples=10, nanoseconds=1_000 * MS) == 1_000
    assert calls_for(1e300, typical=MS, samples=10, nanoseconds=0) == 10
    assert len(duty_cycle(lambda _: None, SINGLE, MS, rate=1e9, nanoseconds=50 * MS)[1].samples) == 50


def test_the_typical_call_is_taken_from_the_end_of_the_warm_up() -> None:
    assert typical_call([9_000_000, 500, 400, 6, 7, 8]) == pytest.approx(7)
