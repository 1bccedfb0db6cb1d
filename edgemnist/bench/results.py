"""What the kinds of `edgemnist bench` other than the plain one find out."""

from __future__ import annotations

from typing import Any

import msgspec

from edgemnist.results import Latency, Part, Ratio, Result


class PairResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench A B --pair`."""

    host: dict[str, Any]
    first: Latency
    second: Latency
    ratio: Ratio
    """p50 of the first over that of the second."""
    max_slowdown: float | None
    """Ratio up to which the first may be slower; None where there is no gate."""
    passed: bool
    """Whether the first is not slower than that by more than the noise; always so without a gate."""
    rounds: int
    warnings: list[str]
    samples_us: dict[str, list[list[float]]] | None = None
    """Raw samples of both sides by round, in microseconds; only in a file written by `--save`."""


class Point(Part, frozen=True, kw_only=True):
    """What was measured at one setting of a scenario."""

    setting: float
    """offline: the batch size; server: queries a second; duty-cycle: calls a second, 0 for calls without a pause."""
    samples: int
    p50_us: float
    """Of a call, a whole batch in the offline scenario; in the server scenario from the arrival of the query on."""
    p90_us: float | None
    p99_us: float | None
    """None, like the 90th percentile, where there are too few samples."""
    throughput_per_s: float
    """Images a second: offline from the median batch, elsewhere 1 / mean or, for a server, the rate."""
    holds: bool | None = None
    """server: whether the 99th percentile is within the limit."""
    samples_us: list[float] | None = None
    """Raw samples in microseconds; only in a file written by `--save`."""


class Played(Part, frozen=True, kw_only=True):
    """One artifact in a scenario."""

    name: str
    runtime: str
    threads: int
    points: list[Point]
    p90_bound_us: float | None = None
    """single-stream: MLPerf's early-stopping estimate of the 90th percentile; None below 64 samples."""
    best: float | None = None
    """offline: the batch size with the highest throughput; server: the highest rate that holds the limit, None where
    even the lowest that was tried does not."""
    warnings: list[str]
    sha256: str
    """Of the file that was measured: the figures count for this very file only."""


class ScenarioResult(Result, frozen=True, kw_only=True):
    """`edgemnist bench --scenario …` and `--duty-cycle …`."""

    scenario: str
    host: dict[str, Any]
    results: list[Played]
    p99_limit_us: float | None = None
    """server only."""
    rate: float | None = None
    """duty-cycle: calls a second; server: the queries a second that were asked for, if any."""
    warnings: list[str]


class ScenariosResult(Result, frozen=True, kw_only=True):
    """The contents of `scenarios.json`."""

    scenarios: list[ScenarioResult] = msgspec.field(default_factory=list)
    """The latest of each kind and setting, in the order in which they were first played."""
