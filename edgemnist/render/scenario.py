"""The page of `edgemnist bench --scenario` and `--duty-cycle`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.bench.results import Played, ScenarioResult
from edgemnist.bench.scenarios import DUTY_CYCLE, OFFLINE, SERVER, SINGLE_STREAM
from edgemnist.bench.subjects import subject_key
from edgemnist.render.bench import host_line
from edgemnist.render.tables import doubts, microseconds, table


def scenario_page(result: ScenarioResult) -> RenderableType:
    """Draw what a scenario found out about each artifact."""
    page = _PAGES[result.scenario](result)
    warnings = [*result.warnings, *(f"{_name(one)}: {warning}" for one in result.results for warning in one.warnings)]
    return Group(page, host_line(result.host), *doubts(warnings))


def _single_stream(result: ScenarioResult) -> RenderableType:
    page = table("artifact", "samples", "p50", "p90", "p90 bound", "p99")
    for one in result.results:
        point = one.points[0]
        figures = (point.p50_us, point.p90_us, one.p90_bound_us, point.p99_us)
        page.add_row(_name(one), f"{point.samples:,}", *(microseconds(value) for value in figures))
    text = "Single stream: one query after the other. The bound is what the p90 stays below with 99 % confidence."
    return Group(Text(text), page)


def _offline(result: ScenarioResult) -> RenderableType:
    sizes = [point.setting for point in result.results[0].points]
    # Batch sizes downwards: eleven of them are too many columns.
    page = table("batch", *(_name(one) for one in result.results))
    for row, size in enumerate(sizes):
        page.add_row(f"{size:,.0f}", *(_throughput(one, row) for one in result.results))
    return Group(Text("Offline: images a second over batch sizes; the highest is bold."), page)


def _throughput(one: Played, row: int) -> str:
    point = one.points[row]
    text = f"{point.throughput_per_s:,.0f}"
    return f"[bold]{text}[/]" if point.setting == one.best else text


def _server(result: ScenarioResult) -> RenderableType:
    page = table("artifact", "highest rate", "its p50", "its p99", "next rate tried", "its p99")
    for one in result.results:
        held = [point for point in one.points if point.setting == one.best]
        missed = [point for point in one.points if not point.holds]
        page.add_row(
            _name(one),
            f"[bold]{one.best:,.0f}/s[/]" if one.best else "none",
            microseconds(held[0].p50_us if held else None),
            microseconds(held[0].p99_us if held else None),
            f"{missed[0].setting:,.0f}/s" if missed else "–",
            microseconds(missed[0].p99_us if missed else None),
        )
    text = (
        f"Server: queries at random times (Poisson), one after the other; from arrival to answer, 99 % have to take at "
        f"most {microseconds(result.p99_limit_us)}."
    )
    return Group(Text(text), page)


def _duty_cycle(result: ScenarioResult) -> RenderableType:
    page = table("artifact", "without a pause", "with sleep", "p90", "times", "calls")
    for one in result.results:
        without, asleep = one.points
        page.add_row(
            _name(one),
            microseconds(without.p50_us),
            f"[bold]{microseconds(asleep.p50_us)}[/]",
            microseconds(asleep.p90_us),
            f"{asleep.p50_us / without.p50_us:.1f}×",
            f"{asleep.samples}",
        )
    rate = result.results[0].points[-1].setting
    return Group(Text(f"Duty cycle: {rate:g} calls a second, asleep in between (p50)."), page)


_PAGES = {SINGLE_STREAM: _single_stream, OFFLINE: _offline, SERVER: _server, DUTY_CYCLE: _duty_cycle}


def _name(one: Played) -> str:
    return subject_key(one.name, one.runtime, one.threads)
