"""The scenarios with real artifacts in real processes, and on the command line."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.bench.config import BenchConfig
from edgemnist.errors import ManifestError, UsageError
from edgemnist.exports import Exports
from edgemnist.exports.findings import SCENARIOS_FILE
from edgemnist.exports.manifest import read_manifest
from edgemnist.report.data import read_report_data
from edgemnist.report.page import html_page
from edgemnist.results.bench import ScenarioResult
from edgemnist.scenario.run import ScenarioConfig, run_scenario, scenario_table
from tests.conftest import Run
from tests.notices import Notices
from tests.verify.damage import flip_bits_in_the_middle, replace_artifact

QUICK = BenchConfig(samples=200, seconds=0.1, rounds=1, batch_size=1, repeats=0)


def duty_cycle(rate: float) -> ScenarioConfig:
    return ScenarioConfig(name="duty-cycle", rate=rate)


def read_scenarios(exports: Path) -> list[ScenarioResult]:
    return Exports.open(exports).findings.scenarios


def save_scenario(exports: Path, result: ScenarioResult, notices: Notices | None = None) -> bool:
    return Exports.open(exports).findings.save_scenario(result, notices or Notices())


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
    result = run(made_exports, ScenarioConfig(name="server", rate=50.0, p99_limit_ms=500))
    (one,) = result.results
    assert result.p99_limit_us == 500_000
    assert 50.0 in [point.setting for point in one.points]
    assert one.best is not None
    (best,) = [point for point in one.points if point.setting == one.best]
    assert best.holds
    assert best.p99_us is not None
    assert best.p99_us <= 500_000
    assert not any(point.holds for point in one.points if point.setting > one.best)
    rows = scenario_table(result).rows
    assert [cell.text for cell in rows[0]][:3] == ["tflite-int8", "asked for", "50/s"]
    assert [cell.text for cell in rows[1]][1:3] == ["highest that holds", f"{one.best:,.0f}/s"]


@pytest.mark.parametrize(
    "scenario",
    [ScenarioConfig(name="server", rate=1e9), duty_cycle(1e9)],
    ids=["server", "duty-cycle"],
)
def test_a_rate_that_cannot_be_reached_ends_and_is_doubted(scenario: ScenarioConfig, made_exports: Path) -> None:
    started = time.perf_counter()
    (one,) = run(made_exports, scenario).results
    assert time.perf_counter() - started < 60
    assert one.points[-1].setting == 1e9
    assert one.points[-1].holds is not True
    assert one.warnings[0].startswith("1,000,000,000 a second cannot be reached: calls without a pause achieve ")


def test_a_call_after_a_sleep_is_held_against_calls_without(made_exports: Path) -> None:
    (one,) = run(made_exports, duty_cycle(50)).results
    assert [point.setting for point in one.points] == [0, 50]
    assert one.points[1].samples == 10


def test_the_command_line_plays_scenarios_keeps_them_and_the_report_shows_them(
    exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    common = ["tflite-int8", "--exports", exports, "--seconds", "0.1", "--repeats", "0", "--rounds", "1"]
    done = edgemnist("scenario", "single-stream", *common, "--threads", "1-2", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["scenario"] == "single-stream"
    assert [one["threads"] for one in document["results"]] == [1, 2]
    saved = tmp_path / "offline.json"
    for options in (["offline", "--save", saved], ["duty-cycle", "--rate", "100"]):
        shown = edgemnist("scenario", options[0], *common, *options[1:])
        assert shown.returncode == 0, shown.stderr
        assert "tflite-int8" in shown.stdout
    assert json.loads(saved.read_text())["results"][0]["points"][0]["samples_us"]
    kept = read_scenarios(exports)
    assert [one.scenario for one in kept] == ["single-stream", "offline", "duty-cycle"]
    assert all(point.samples_us is None for one in kept for played in one.results for point in played.points)
    page = html_page(read_report_data(Exports.open(exports)))
    assert all(f">{title}</h3>" in page for title in ("Single stream", "Offline", "Duty cycle"))


def test_what_was_played_is_kept_as_long_as_it_is_of_the_same_files_and_host(exports: Path) -> None:
    duty = run(exports, duty_cycle(1000))
    other = msgspec.structs.replace(duty.results[0], name="tflite-int4", sha256=hash_of(exports, "tflite-int4"))
    for result in (duty, msgspec.structs.replace(duty, results=[other])):
        assert save_scenario(exports, result)
    (kept,) = read_scenarios(exports)
    assert [one.name for one in kept.results] == ["tflite-int8", "tflite-int4"]
    # Another rate is another question, and another host has another answer.
    save_scenario(exports, msgspec.structs.replace(duty, rate=2.0))
    save_scenario(exports, msgspec.structs.replace(duty, host={"cpu": "Cortex-A72"}))
    assert [[one.name for one in kept.results] for kept in read_scenarios(exports)] == [["tflite-int8"]] * 2
    replace_artifact(exports, "tflite-int8", flip_bits_in_the_middle((exports / "tflite-int8.tflite").read_bytes()))
    assert read_scenarios(exports) == []


def test_a_broken_record_of_scenarios_is_an_error_to_read_and_replaced_by_the_next(exports: Path) -> None:
    duty = run(exports, duty_cycle(1000))
    (exports / SCENARIOS_FILE).write_text("{")
    with pytest.raises(ManifestError, match=SCENARIOS_FILE):
        read_scenarios(exports)
    notices = Notices()
    assert save_scenario(exports, duty, notices)
    assert "replaced" in notices.messages[0]
    assert len(read_scenarios(exports)) == 1


def hash_of(exports: Path, name: str) -> str:
    return read_manifest(exports).artifact(name).sha256


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
