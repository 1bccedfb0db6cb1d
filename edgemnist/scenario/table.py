"""The results of a scenario as the cells of a table, for the terminal and for the report."""

from __future__ import annotations

from typing import NamedTuple

from edgemnist.formatting import microseconds
from edgemnist.results.bench import Point, ScenarioResult, ScenarioRun, subject_key
from edgemnist.scenario.run import DUTY_CYCLE, OFFLINE, SERVER, SINGLE_STREAM


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


def _single_stream(result: ScenarioResult) -> ScenarioTable:
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


def _offline(result: ScenarioResult) -> ScenarioTable:
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


def _server(result: ScenarioResult) -> ScenarioTable:
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


def _duty_cycle(result: ScenarioResult) -> ScenarioTable:
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


_TABLES = {SINGLE_STREAM: _single_stream, OFFLINE: _offline, SERVER: _server, DUTY_CYCLE: _duty_cycle}
