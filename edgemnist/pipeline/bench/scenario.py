"""Scenarios in the terms of MLPerf Inference, and one of ours, each model in a process of its own.

Their results are put into the cells of a table, for the terminal and for the report.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from edgemnist.board.machine import host_facts
from edgemnist.ground.arrays import Images
from edgemnist.ground.formatting import DISTURBED, microseconds
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results.bench import Point, ScenarioResult, ScenarioRun
from edgemnist.ground.storage import write_file
from edgemnist.model.exports import Exports
from edgemnist.model.exports.models import Model
from edgemnist.model.exports.questions import question
from edgemnist.pipeline.bench.config import BenchConfig
from edgemnist.pipeline.bench.quality import host_warnings, summarise
from edgemnist.pipeline.bench.run import bench_inputs, choose_models, latency, measure_all
from edgemnist.pipeline.bench.timing import (
    DUTY_CYCLE,
    OFFLINE,
    SERVER,
    SINGLE_STREAM,
    ScenarioConfig,
    Trial,
    typical_call,
)

PERCENTILE: Final = 0.90
"""What MLPerf Inference reports for its single-stream scenario."""
CONFIDENCE: Final = 0.99


def early_stopping_bound(samples: Sequence[float]) -> float | None:
    """Return MLPerf's early-stopping estimate of the 90th percentile, in the unit of the samples.

    It is the sample that the true percentile lies below with this confidence, whatever the distribution: the one with
    t - 1 samples above it, where t is the largest number of which P(Binomial(n, 1 - percentile) ≤ t) ≤ 1 - confidence.
    None where even t = 1 is too many: the 90th percentile needs 64 samples, the 99th 662. (MLCommons, Inference Rules,
    appendix "Early Stopping Criterion", and loadgen's results.cc.)
    """
    tolerated = tolerated_misses(len(samples))
    return float(np.sort(np.asarray(samples))[len(samples) - tolerated]) if tolerated else None


def tolerated_misses(count: int, percentile: float = PERCENTILE) -> int:
    """Return t of `early_stopping_bound` for `count` samples; 0 if there are too few."""
    misses = np.arange(count + 1)
    # log(k!), so that 100,000 samples are as exact as 100.
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    logarithms = (
        factorials[count]
        - factorials
        - factorials[::-1]
        + misses * np.log(1 - percentile)
        + (count - misses) * np.log(percentile)
    )
    at_most = np.cumsum(np.exp(logarithms))
    return max(0, int(np.searchsorted(at_most, 1 - CONFIDENCE, side="right")) - 1)


def run_scenario(
    exports: Exports | None,
    names: Sequence[str] | None,
    config: BenchConfig,
    scenario: ScenarioConfig,
    *,
    save: Path | None = None,
    data: Path | None = None,
    reporter: Reporter = SILENT,
) -> ScenarioResult:
    """Play a scenario with models of an export directory: those named, or all that can be run, but not Keras.

    `save` gets the raw samples; the result that is returned has none. Raises what
    `edgemnist.pipeline.bench.run.bench` and `write_file` raise.
    """
    models = choose_models(exports, names, replace(config, keras=False), reporter)
    if exports is not None:
        question(exports, reporter)
    images = bench_inputs(exports, models, data, reporter)
    host = host_facts()
    result = ScenarioResult(
        scenario=scenario.name,
        host=host,
        results=list(_play(models, images, config, scenario, reporter)),
        p99_limit_us=scenario.limit_us,
        rate=scenario.resolved_rate,
        warnings=host_warnings(host),
    )
    if save is not None:
        write_file(save, result.to_json().encode())
    # Of which there may be millions.
    rows = [
        msgspec.structs.replace(row, points=[msgspec.structs.replace(point, samples_us=None) for point in row.points])
        for row in result.results
    ]
    result = msgspec.structs.replace(result, results=rows)
    if exports is not None:
        exports.findings.save_scenario(result, reporter)
    return result


def _play(
    models: Sequence[Model],
    images: Sequence[Images],
    config: BenchConfig,
    scenario: ScenarioConfig,
    reporter: Reporter,
) -> Iterator[ScenarioRun]:
    if scenario.name == SINGLE_STREAM:
        measured = measure_all(models, images, config, reporter)
        for model in models:
            rounds = measured[config.key(model)]
            figures = latency(model, rounds, config)
            samples = [sample for one in rounds for sample in one.report.samples]
            yield _run(model, config, scenario, [Trial(1, samples)], figures.warnings, tainted=figures.tainted)
        return
    measured = measure_all(models, images, replace(config, rounds=1), reporter, scenario=scenario)
    for model in models:
        (one,) = measured[config.key(model)]
        warnings = [*overload(scenario.resolved_rate, typical_call(one.report.warmup)), *one.taints]
        yield _run(model, config, scenario, one.report.trials, warnings, tainted=bool(one.taints))


def overload(rate: float | None, typical: float) -> list[str]:
    """Return in words whether a rate, in calls a second, is beyond that of calls of `typical` nanoseconds each."""
    most = 1e9 / typical
    if rate is None or rate <= most:
        return []
    return [f"{rate:,.0f} a second cannot be reached: calls without a pause achieve {most:,.0f}"]


def _run(
    model: Model,
    config: BenchConfig,
    scenario: ScenarioConfig,
    trials: Sequence[Trial],
    warnings: list[str],
    *,
    tainted: bool,
) -> ScenarioRun:
    points = sorted((_point(trial, scenario) for trial in trials), key=attrgetter("setting"))
    bound = early_stopping_bound(trials[0].samples) if scenario.name == SINGLE_STREAM else None
    best = None
    if scenario.name == OFFLINE:
        best = max(points, key=attrgetter("throughput_per_s")).setting
    elif scenario.name == SERVER:
        best = max((point.setting for point in points if point.holds), default=None)
    return ScenarioRun(
        name=model.name,
        runtime=model.runtime,
        threads=config.threads,
        points=points,
        p90_bound_us=None if bound is None else bound / 1e3,
        best=best,
        tainted=tainted,
        warnings=warnings,
        sha256=model.sha256,
    )


def _point(trial: Trial, scenario: ScenarioConfig) -> Point:
    single = summarise([trial.samples])
    throughput = 1e6 / single["mean_us"] if single["mean_us"] else 0.0
    if scenario.name == SERVER:
        throughput = trial.setting
    elif scenario.name == OFFLINE:
        throughput = trial.setting / (single["p50_us"] / 1e6)
    limit = scenario.limit_us
    return Point(
        setting=trial.setting,
        **{name: single[name] for name in ("samples", "p50_us", "p90_us", "p99_us")},
        throughput_per_s=throughput,
        holds=None if limit is None else bool(np.percentile(trial.samples, 99) <= 1e3 * limit),
        samples_us=[sample / 1e3 for sample in trial.samples],
    )


class Strong(str):
    """The figure that a scenario is played for."""

    __slots__ = ()
    strong = True


class ScenarioTable(NamedTuple):
    """A table, and a sentence that says what it is about."""

    title: str
    text: str
    columns: list[str]
    rows: list[list[str]]
    """The first cell of each is its name."""


def scenario_table(result: ScenarioResult) -> ScenarioTable:
    """Return the table of a scenario."""
    return _TABLES[result.scenario](result)


def _single_stream_table(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for run in result.results:
        p50, p90, p99 = _percentiles(run, run.points[0])
        bound = Strong(microseconds(run.p90_bound_us, tainted=run.tainted))
        rows.append([run.key, f"{run.points[0].samples:,}", p50, p90, bound, p99])
    return ScenarioTable(
        "Single stream",
        "one query after another. The p90 stays below its bound with 99 % confidence.",
        ["artifact", "samples", "p50", "p90", "p90 bound", "p99"],
        rows,
    )


def _offline_table(result: ScenarioResult) -> ScenarioTable:
    # Batch sizes downwards: eleven of them are too many columns.
    sizes = sorted({point.setting for run in result.results for point in run.points})
    rows: dict[float, list[str]] = {size: [f"{size:,.0f}"] for size in sizes}
    for run in result.results:
        rates = {point.setting: f"{point.throughput_per_s:,.0f}{_mark(run)}" for point in run.points}
        for size in sizes:
            rate = rates.get(size, "–")
            rows[size].append(Strong(rate) if size == run.best else rate)
    return ScenarioTable(
        "Offline",
        "answers a second over batch sizes; the highest is bold.",
        ["batch", *(run.key for run in result.results)],
        list(rows.values()),
    )


def _server_table(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for run in result.results:
        shown = [("asked for", point) for point in run.points if point.setting == result.rate]
        shown += [("highest that holds", point) for point in run.points if point.setting == run.best]
        missed = [point for point in run.points if not point.holds and point.setting != result.rate]
        # Of all that the search tried.
        shown += [("lowest that does not", point) for point in missed[:1]]
        for meaning, point in shown:
            rate = f"{point.setting:,.0f}/s{_mark(run) if point.setting != result.rate else ''}"
            told = Strong(rate) if point.setting == run.best else rate
            rows.append([run.key, meaning, told, *_percentiles(run, point)])
        if run.best is None:
            rows.append([run.key, "highest that holds", Strong(f"none{_mark(run)}"), "–", "–", "–"])
    return ScenarioTable(
        "Server",
        "queries at random times (Poisson), one after another; 99 % of them must be answered within "
        f"{microseconds(result.p99_limit_us)} of their arrival.",
        ["artifact", "rate", "per second", "p50", "p90", "p99"],
        rows,
    )


def _duty_cycle_table(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for run in result.results:
        without, asleep = run.points
        pause, *_ = _percentiles(run, without)
        p50, p90, _ = _percentiles(run, asleep)
        times = "–" if run.tainted else f"{asleep.p50_us / without.p50_us:.1f}×"
        rows.append([run.key, pause, Strong(p50), p90, times, f"{asleep.samples:,}"])
    rate = result.results[0].points[-1].setting
    return ScenarioTable(
        "Duty cycle",
        f"{rate:g} {'call' if rate == 1 else 'calls'} a second, asleep in between (p50).",
        ["artifact", "without a pause", "with sleep", "p90", "times", "calls"],
        rows,
    )


def _percentiles(run: ScenarioRun, point: Point) -> list[str]:
    return [microseconds(value, tainted=run.tainted) for value in (point.p50_us, point.p90_us, point.p99_us)]


def _mark(run: ScenarioRun) -> str:
    return DISTURBED if run.tainted else ""


_TABLES = {
    SINGLE_STREAM: _single_stream_table,
    OFFLINE: _offline_table,
    SERVER: _server_table,
    DUTY_CYCLE: _duty_cycle_table,
}
