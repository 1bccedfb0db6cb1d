"""Scenarios in the terms of MLPerf Inference, each artifact in a process of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from edgemnist.arrays import Images
from edgemnist.bench.config import BenchConfig
from edgemnist.bench.doubt import host_doubts, quieter
from edgemnist.bench.earlystopping import early_stopping_bound
from edgemnist.bench.host import host_facts
from edgemnist.bench.process import play_undisturbed
from edgemnist.bench.protocol import DutyCycle, Offline, Scenario, Server, Trial
from edgemnist.bench.results import Played, Point, ScenarioResult
from edgemnist.bench.run import latency, measure_all, request_for, scratch_directory
from edgemnist.bench.statistics import summarise
from edgemnist.bench.subjects import Subject, select_subjects
from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.golden import read_golden
from edgemnist.manifest import read_manifest
from edgemnist.progress import SILENT, Reporter

SINGLE_STREAM: Final = "single-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
DUTY_CYCLE: Final = "duty-cycle"
SCENARIOS: Final = {
    SINGLE_STREAM: "one query after the other: the 90th percentile, and its early-stopping bound",
    OFFLINE: "all images at once: throughput over batch sizes from 1 to 1,024",
    SERVER: "queries at random times: the highest rate at which the 99th percentile holds a limit",
}
"""What `--scenario` takes."""
BATCH_SIZES: Final = tuple(2**power for power in range(11))
SEED: Final = 0
DEFAULT_P99_LIMIT_MS: Final = 1.0
LEAST_CALLS: Final = 10
"""Of a duty cycle, however slow."""


@dataclass(frozen=True, kw_only=True)
class ScenarioConfig:
    """What `--scenario`, `--rate`, `--p99-limit` and `--duty-cycle` ask for."""

    name: str
    """One of SCENARIOS, or `duty-cycle`."""
    rate: float | None = None
    """Queries a second, or calls a second of a duty cycle."""
    p99_limit_ms: float = DEFAULT_P99_LIMIT_MS
    """Of the server scenario: from the arrival of a query to its answer."""

    def __post_init__(self) -> None:
        if self.name not in {*SCENARIOS, DUTY_CYCLE}:
            raise UnknownNameError("scenario", self.name, SCENARIOS)
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"A rate of {self.rate:g} a second makes no sense", hint="It is more than 0.")
        if self.rate is not None and self.name in {SINGLE_STREAM, OFFLINE}:
            raise UsageError(f"--rate is for --scenario {SERVER}", hint=f"{self.name} takes no rate.")
        if not (math.isfinite(self.p99_limit_ms) and self.p99_limit_ms > 0):
            raise UsageError(f"--p99-limit {self.p99_limit_ms:g} makes no sense", hint="It is milliseconds, above 0.")


def choose_scenario(
    name: str | None, *, rate: float | None, p99_limit_ms: float | None, duty_cycle: str | None
) -> ScenarioConfig | None:
    """Return what the options ask for, or None where they ask for no scenario. Raises UsageError."""
    if name is not None and duty_cycle is not None:
        raise UsageError("--scenario and --duty-cycle are two things", hint="Choose one of them.")
    config = None
    if duty_cycle is not None:
        config = duty_cycle_config(duty_cycle)
    elif name is not None:
        limit = DEFAULT_P99_LIMIT_MS if p99_limit_ms is None else p99_limit_ms
        config = ScenarioConfig(name=name, rate=rate, p99_limit_ms=limit)
    if config is None or config.name != SERVER:
        for option, value in (("--rate", rate), ("--p99-limit", p99_limit_ms)):
            if value is not None:
                raise UsageError(f"{option} is for --scenario {SERVER}", hint="Add that, or leave it out.")
    return config


def duty_cycle_config(text: str) -> ScenarioConfig:
    """Return the scenario of a `--duty-cycle` such as `1/s` or `0.5/s`. Raises UsageError for any other text."""
    found = re.fullmatch(r"([0-9.]+)(?:/s)?", text)
    try:
        rate = float(found[1]) if found else math.nan
    except ValueError:
        rate = math.nan
    if math.isnan(rate):
        raise UsageError(f"--duty-cycle {text} makes no sense", hint="It is calls a second, such as 1/s.")
    return ScenarioConfig(name=DUTY_CYCLE, rate=rate)


def run_scenario(
    exports: Path,
    names: Sequence[str] | None,
    config: BenchConfig,
    scenario: ScenarioConfig,
    reporter: Reporter = SILENT,
) -> ScenarioResult:
    """Play a scenario with artifacts of an export directory: those named, or all that can be run, but not Keras.

    The result has its raw samples, see `without_samples`. Raises what `edgemnist.bench.run.bench` raises.
    """
    manifest = read_manifest(exports)
    subjects = [
        replace(subject, threads=count)
        for subject in select_subjects(exports, manifest, names, keras=False, reporter=reporter)
        for count in config.thread_counts
    ]
    images = read_golden(exports, manifest).images
    played = (
        _single_stream(subjects, images, config, reporter)
        if scenario.name == SINGLE_STREAM
        else _play_all(subjects, images, config, scenario, reporter)
    )
    host = host_facts()
    return ScenarioResult(
        scenario=scenario.name,
        host=host,
        results=played,
        p99_limit_us=1e3 * scenario.p99_limit_ms if scenario.name == SERVER else None,
        rate=scenario.rate,
        warnings=host_doubts(host),
    )


def _single_stream(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, reporter: Reporter
) -> list[Played]:
    measured = measure_all(subjects, images, config, reporter)
    played = []
    for subject in subjects:
        samples = [sample for one in measured[subject.key] for sample in one.report.samples]
        bound = early_stopping_bound(samples)
        played.append(
            Played(
                name=subject.name,
                runtime=subject.runtime,
                threads=subject.threads,
                points=[_point(Trial(setting=1, samples=samples))],
                p90_bound_us=None if bound is None else bound / 1e3,
                warnings=latency(subject, measured[subject.key], config).warnings,
                sha256=subject.sha256,
            )
        )
    return played


def _play_all(
    subjects: Sequence[Subject], images: Images, config: BenchConfig, scenario: ScenarioConfig, reporter: Reporter
) -> list[Played]:
    orders = _orders(config, scenario)
    played = []
    quietest: float | None = None
    with scratch_directory(images) as scratch, reporter.task("Measuring", len(subjects)) as task:
        for done, subject in enumerate(subjects):
            task.update(done, subject.key)
            request = request_for(subject, config, scratch, orders)
            performance = play_undisturbed(subject.key, request, config.repeats, quietest)
            report = performance.report
            quietest = quieter(report.reference, quietest)
            limit = 1e3 * scenario.p99_limit_ms if scenario.name == SERVER else None
            points = [_point(trial, server_limit_us=limit, batch=scenario.name == OFFLINE) for trial in report.trials]
            played.append(
                Played(
                    name=subject.name,
                    runtime=subject.runtime,
                    threads=subject.threads,
                    points=sorted(points, key=lambda point: point.setting),
                    best=_best(points, scenario.name),
                    warnings=[*overload(scenario.rate, report.typical), *performance.taints],
                    sha256=subject.sha256,
                )
            )
    return played


def _orders(config: BenchConfig, scenario: ScenarioConfig) -> Scenario:
    """Return what the measuring process is told."""
    nanoseconds = round(1e9 * config.seconds)
    if scenario.name == OFFLINE:
        return Offline(batch_sizes=list(BATCH_SIZES), nanoseconds=round(nanoseconds / len(BATCH_SIZES)))
    if scenario.name == SERVER:
        limit = round(1e6 * scenario.p99_limit_ms)
        return Server(rate=scenario.rate, limit=limit, samples=config.samples, nanoseconds=nanoseconds, seed=SEED)
    return DutyCycle(rate=scenario.rate or 1.0, samples=LEAST_CALLS, nanoseconds=nanoseconds)


def overload(rate: float | None, typical: float) -> list[str]:
    """Return in words whether a rate, in calls a second, is beyond that of calls of `typical` nanoseconds each."""
    most = 1e9 / typical
    if rate is None or rate <= most:
        return []
    return [f"{rate:,.0f} a second cannot be reached: calls without a pause achieve {most:,.0f}"]


def _point(trial: Trial, *, server_limit_us: float | None = None, batch: bool = False) -> Point:
    single = summarise([trial.samples])
    throughput = 1e6 / single.mean if single.mean else 0.0
    if server_limit_us is not None:
        throughput = trial.setting
    elif batch:
        throughput = trial.setting / (single.p50 / 1e6)
    return Point(
        setting=trial.setting,
        samples=single.samples,
        p50_us=single.p50,
        p90_us=single.p90,
        p99_us=single.p99,
        throughput_per_s=throughput,
        holds=None if server_limit_us is None else bool(np.percentile(trial.samples, 99) <= 1e3 * server_limit_us),
        samples_us=[sample / 1e3 for sample in trial.samples],
    )


def _best(points: Sequence[Point], scenario: str) -> float | None:
    if scenario == OFFLINE:
        return max(points, key=lambda point: point.throughput_per_s).setting
    if scenario == SERVER:
        return max((point.setting for point in points if point.holds), default=None)
    return None
