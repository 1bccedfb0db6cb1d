"""Scenarios in the terms of MLPerf Inference, and one of ours, each model in a process of its own.

Their results are put into the cells of a table, for the terminal and for the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from edgemnist.arrays import Images
from edgemnist.bench.config import BenchConfig, Subject
from edgemnist.bench.process import measure
from edgemnist.bench.protocol import DutyCycle, Offline, Scenario, ScenarioReport, Server, Trial
from edgemnist.bench.quality import host_warnings, quieter, summarise
from edgemnist.bench.run import choose_subjects, evaluation_images, latency, measure_all, request_for, scratch_directory
from edgemnist.errors import UnknownNameError, UsageError, check_range
from edgemnist.exports import Exports
from edgemnist.exports.findings import without_samples
from edgemnist.formatting import microseconds
from edgemnist.machine import host_facts
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.bench import Point, ScenarioResult, ScenarioRun, subject_key
from edgemnist.storage import write_file

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


SINGLE_STREAM: Final = "single-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
DUTY_CYCLE: Final = "duty-cycle"
SCENARIOS: Final = {
    SINGLE_STREAM: "one query after another: the 90th percentile, and its early-stopping bound",
    OFFLINE: "all images at once: throughput over batch sizes from 1 to 1,024",
    SERVER: "queries at random times: the highest rate at which the 99th percentile stays within a limit",
    DUTY_CYCLE: "calls at a fixed rate, asleep in between: what waking up costs",
}
"""What can be played, and what it tells."""
RATED: Final = (SERVER, DUTY_CYCLE)
BATCH_SIZES: Final = tuple(2**power for power in range(11))
SEED: Final = 0
DEFAULT_P99_LIMIT_MS: Final = 1.0
LEAST_CALLS: Final = 10
"""Of a duty cycle, however slow."""


@dataclass(frozen=True, kw_only=True)
class ScenarioConfig:
    """What to play. Raises UnknownNameError and UsageError for a name or a setting that does not exist."""

    name: str
    """One of SCENARIOS."""
    rate: float | None = None
    """server: queries a second to try, too; duty-cycle: calls a second, 1 for None."""
    p99_limit_ms: float | None = None
    """server: from the arrival of a query to its answer; None for `DEFAULT_P99_LIMIT_MS`."""

    def __post_init__(self) -> None:
        if self.name not in SCENARIOS:
            raise UnknownNameError("scenario", self.name, SCENARIOS)
        check_range("--rate", self.rate, above=0)
        check_range("--p99-limit", self.p99_limit_ms, above=0)
        if self.rate is not None and self.name not in RATED:
            raise UsageError(f"{self.name} has no --rate", hint=f"It is for {' and '.join(RATED)}.")
        if self.p99_limit_ms is not None and self.name != SERVER:
            raise UsageError(f"{self.name} has no --p99-limit", hint=f"It is for {SERVER}.")

    @property
    def limit_us(self) -> float | None:
        """Limit of the 99th percentile in microseconds; None where the scenario has none."""
        if self.name != SERVER:
            return None
        return 1e3 * (DEFAULT_P99_LIMIT_MS if self.p99_limit_ms is None else self.p99_limit_ms)

    @property
    def resolved_rate(self) -> float | None:
        """Calls a second, where the scenario has a rate."""
        return 1.0 if self.name == DUTY_CYCLE and self.rate is None else self.rate


def run_scenario(
    exports: Exports,
    names: Sequence[str] | None,
    config: BenchConfig,
    scenario: ScenarioConfig,
    *,
    save: Path | None = None,
    reporter: Reporter = SILENT,
) -> ScenarioResult:
    """Play a scenario with models of an export directory: those named, or all that can be run, but not Keras.

    `save` gets the raw samples; the result that is returned has none. Raises what
    `edgemnist.bench.run.bench` and `write_file` raise.
    """
    subjects = choose_subjects(exports, names, replace(config, keras=False), reporter)
    images = evaluation_images(exports)
    play = _single_stream if scenario.name == SINGLE_STREAM else _under_load
    played = play(subjects, images, config, scenario, reporter)
    host = host_facts()
    result = ScenarioResult(
        scenario=scenario.name,
        host=host,
        results=[_run(subject, *found, scenario) for subject, found in zip(subjects, played, strict=True)],
        p99_limit_us=scenario.limit_us,
        rate=scenario.resolved_rate,
        warnings=host_warnings(host),
    )
    if save is not None:
        write_file(save, result.to_json().encode())
    return without_samples(result)


Played: TypeAlias = list[tuple[list[Trial], list[str]]]
"""For each model what was measured, and what is to be said about its quality."""


def _single_stream(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, scenario: ScenarioConfig, reporter: Reporter
) -> Played:
    del scenario
    measured = measure_all(subjects, images, config, reporter)
    played = []
    for subject in subjects:
        samples = [sample for one in measured[subject.key] for sample in one.report.samples]
        warnings = latency(subject, measured[subject.key], config).warnings
        played.append(([Trial(setting=1, samples=samples)], warnings))
    return played


def _under_load(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, scenario: ScenarioConfig, reporter: Reporter
) -> Played:
    orders = _orders(config, scenario)
    played = []
    quietest: float | None = None
    with scratch_directory(images) as scratch, reporter.task("Measuring", len(subjects)) as task:
        for done, subject in enumerate(subjects):
            task.update(done, subject.key)
            request = request_for(subject, config, scratch, orders)
            measured = measure(subject.key, request, ScenarioReport, repeats=config.repeats, quietest=quietest)
            report = measured.report
            quietest = quieter(report.reference, quietest)
            played.append((report.trials, [*overload(scenario.resolved_rate, report.typical), *measured.taints]))
    return played


def _orders(config: BenchConfig, scenario: ScenarioConfig) -> Scenario:
    """Return what the measuring process is told."""
    nanoseconds = round(1e9 * config.seconds)
    if scenario.name == OFFLINE:
        return Offline(batch_sizes=list(BATCH_SIZES), nanoseconds=round(nanoseconds / len(BATCH_SIZES)))
    if scenario.name == SERVER:
        limit = round(1e3 * (scenario.limit_us or 0.0))
        return Server(rate=scenario.rate, limit=limit, samples=config.samples, nanoseconds=nanoseconds, seed=SEED)
    return DutyCycle(rate=scenario.resolved_rate or 1.0, samples=LEAST_CALLS, nanoseconds=nanoseconds)


def overload(rate: float | None, typical: float) -> list[str]:
    """Return in words whether a rate, in calls a second, is beyond that of calls of `typical` nanoseconds each."""
    most = 1e9 / typical
    if rate is None or rate <= most:
        return []
    return [f"{rate:,.0f} a second cannot be reached: calls without a pause achieve {most:,.0f}"]


def _run(subject: Subject, trials: list[Trial], warnings: list[str], scenario: ScenarioConfig) -> ScenarioRun:
    points = sorted((_point(trial, scenario) for trial in trials), key=attrgetter("setting"))
    bound = early_stopping_bound(trials[0].samples) if scenario.name == SINGLE_STREAM else None
    best = None
    if scenario.name == OFFLINE:
        best = max(points, key=attrgetter("throughput_per_s")).setting
    elif scenario.name == SERVER:
        best = max((point.setting for point in points if point.holds), default=None)
    return ScenarioRun(
        name=subject.name,
        runtime=subject.runtime,
        threads=subject.threads,
        points=points,
        p90_bound_us=None if bound is None else bound / 1e3,
        best=best,
        warnings=warnings,
        sha256=subject.model.sha256,
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


class Cell(NamedTuple):
    """A figure in words."""

    text: str
    strong: bool = False
    """True for the figure that the scenario is played for."""


class ScenarioTable(NamedTuple):
    """A table, and a sentence that says what it is about."""

    title: str
    text: str
    columns: list[str]
    rows: list[list[Cell]]
    """The first cell of each is its name."""


def scenario_table(result: ScenarioResult) -> ScenarioTable:
    """Return the table of a scenario."""
    return _TABLES[result.scenario](result)


def run_name(one: ScenarioRun) -> str:
    """Return the artifact, and the number of threads where that is not 1."""
    return subject_key(one.name, one.runtime, one.threads)


def _single_stream_table(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for one in result.results:
        point = one.points[0]
        bound = Cell(microseconds(one.p90_bound_us), strong=True)
        p50, p90, p99 = _percentiles(point)
        rows.append([Cell(run_name(one)), Cell(f"{point.samples:,}"), p50, p90, bound, p99])
    return ScenarioTable(
        "Single stream",
        "one query after another. The p90 stays below its bound with 99 % confidence.",
        ["artifact", "samples", "p50", "p90", "p90 bound", "p99"],
        rows,
    )


def _offline_table(result: ScenarioResult) -> ScenarioTable:
    # Batch sizes downwards: eleven of them are too many columns.
    rows = []
    for size in sorted({point.setting for one in result.results for point in one.points}):
        row = [Cell(f"{size:,.0f}")]
        for one in result.results:
            point = next((point for point in one.points if point.setting == size), None)
            row.append(Cell(f"{point.throughput_per_s:,.0f}" if point else "–", strong=size == one.best))
        rows.append(row)
    return ScenarioTable(
        "Offline",
        "images a second over batch sizes; the highest is bold.",
        ["batch", *map(run_name, result.results)],
        rows,
    )


def _server_table(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for one in result.results:
        shown = [("asked for", point) for point in one.points if point.setting == result.rate]
        shown += [("highest that holds", point) for point in one.points if point.setting == one.best]
        missed = [point for point in one.points if not point.holds and point.setting != result.rate]
        # Of all that the search tried.
        shown += [("lowest that does not", point) for point in missed[:1]]
        for meaning, point in shown:
            rate = Cell(f"{point.setting:,.0f}/s", strong=point.setting == one.best)
            rows.append([Cell(run_name(one)), Cell(meaning), rate, *_percentiles(point)])
        if one.best is None:
            none = Cell("none", strong=True)
            rows.append([Cell(run_name(one)), Cell("highest that holds"), none, *[Cell("–")] * 3])
    return ScenarioTable(
        "Server",
        "queries at random times (Poisson), one after another; 99 % of them must be answered within "
        f"{microseconds(result.p99_limit_us)} of their arrival.",
        ["artifact", "rate", "per second", "p50", "p90", "p99"],
        rows,
    )


def _duty_cycle_table(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for one in result.results:
        without, asleep = one.points
        p50, p90, _ = _percentiles(asleep)
        times = Cell(f"{asleep.p50_us / without.p50_us:.1f}×")
        pause = Cell(microseconds(without.p50_us))
        rows.append([Cell(run_name(one)), pause, p50._replace(strong=True), p90, times, Cell(f"{asleep.samples:,}")])
    rate = result.results[0].points[-1].setting
    return ScenarioTable(
        "Duty cycle",
        f"{rate:g} {'call' if rate == 1 else 'calls'} a second, asleep in between (p50).",
        ["artifact", "without a pause", "with sleep", "p90", "times", "calls"],
        rows,
    )


def _percentiles(point: Point) -> list[Cell]:
    return [Cell(microseconds(value)) for value in (point.p50_us, point.p90_us, point.p99_us)]


_TABLES = {
    SINGLE_STREAM: _single_stream_table,
    OFFLINE: _offline_table,
    SERVER: _server_table,
    DUTY_CYCLE: _duty_cycle_table,
}
