"""What a scenario found out as the cells of a table, for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgemnist.console.tables import microseconds
from edgemnist.results.bench import Point, ScenarioResult, ScenarioRun, subject_key
from edgemnist.scenario.run import DUTY_CYCLE, OFFLINE, SERVER, SINGLE_STREAM


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure in words."""

    text: str
    strong: bool = False
    """True for the figure that the scenario is played for."""


@dataclass(frozen=True, kw_only=True)
class ScenarioTable:
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
        figures = [Cell(text=microseconds(value)) for value in (point.p50_us, point.p90_us)]
        bound = Cell(text=microseconds(one.p90_bound_us), strong=True)
        rows.append(_row(one, Cell(text=f"{point.samples:,}"), *figures, bound, Cell(text=microseconds(point.p99_us))))
    return ScenarioTable(
        title="Single stream",
        text="one query after the other. The bound is what the p90 stays below with 99 % confidence.",
        columns=["artifact", "samples", "p50", "p90", "p90 bound", "p99"],
        rows=rows,
    )


def _offline(result: ScenarioResult) -> ScenarioTable:
    sizes = sorted({point.setting for one in result.results for point in one.points})
    found = [{point.setting: point for point in one.points} for one in result.results]
    # Batch sizes downwards: eleven of them are too many columns.
    rows = [
        [
            Cell(text=f"{size:,.0f}"),
            *(
                Cell(text=f"{points[size].throughput_per_s:,.0f}" if size in points else "–", strong=size == one.best)
                for one, points in zip(result.results, found, strict=True)
            ),
        ]
        for size in sizes
    ]
    return ScenarioTable(
        title="Offline",
        text="images a second over batch sizes; the highest is bold.",
        columns=["batch", *(run_name(one) for one in result.results)],
        rows=rows,
    )


def _server(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for one in result.results:
        for meaning, point in _served(one, result.rate):
            figures = [Cell(text=microseconds(value)) for value in (point.p50_us, point.p90_us, point.p99_us)]
            rate = Cell(text=f"{point.setting:,.0f}/s", strong=point.setting == one.best)
            rows.append(_row(one, Cell(text=meaning), rate, *figures))
        if one.best is None:
            rows.append(
                _row(one, Cell(text="highest that holds"), Cell(text="none", strong=True), *[Cell(text="–")] * 3)
            )
    return ScenarioTable(
        title="Server",
        text="queries at random times (Poisson), one after the other; from arrival to answer, 99 % have to take at "
        f"most {microseconds(result.p99_limit_us)}.",
        columns=["artifact", "rate", "per second", "p50", "p90", "p99"],
        rows=rows,
    )


def _served(one: ScenarioRun, asked: float | None) -> Iterator[tuple[str, Point]]:
    """Yield the trials that are worth showing, of all that the search made, with what each of them is."""
    yield from (("asked for", point) for point in one.points if point.setting == asked)
    yield from (("highest that holds", point) for point in one.points if point.setting == one.best)
    missed = (point for point in one.points if not point.holds and point.setting != asked)
    yield from (("lowest that does not", point) for point in list(missed)[:1])


def _duty_cycle(result: ScenarioResult) -> ScenarioTable:
    rows = []
    for one in result.results:
        without, asleep = one.points
        rows.append(
            _row(
                one,
                Cell(text=microseconds(without.p50_us)),
                Cell(text=microseconds(asleep.p50_us), strong=True),
                Cell(text=microseconds(asleep.p90_us)),
                Cell(text=f"{asleep.p50_us / without.p50_us:.1f}×"),
                Cell(text=f"{asleep.samples}"),
            )
        )
    rate = result.results[0].points[-1].setting
    return ScenarioTable(
        title="Duty cycle",
        text=f"{rate:g} calls a second, asleep in between (p50).",
        columns=["artifact", "without a pause", "with sleep", "p90", "times", "calls"],
        rows=rows,
    )


def _row(one: ScenarioRun, *cells: Cell) -> list[Cell]:
    return [Cell(text=run_name(one)), *cells]


_TABLES = {SINGLE_STREAM: _single_stream, OFFLINE: _offline, SERVER: _server, DUTY_CYCLE: _duty_cycle}
