"""The page of `edgemnist scenario`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import closing, count, fault_line, host_line, quality, table, throttle_note
from edgemnist.results.bench import ScenarioResult
from edgemnist.results.boards import FleetScenarioResult
from edgemnist.scenario.table import run_name, scenario_table


def scenario_page(result: ScenarioResult, step: str = "") -> RenderableType:
    """Draw what a scenario found out about each artifact."""
    found = scenario_table(result)
    page = table(*found.columns)
    for row in found.rows:
        page.add_row(*(Text(cell.text, style="bold" if cell.strong else "") for cell in row))
    warnings = [
        *result.warnings,
        *(f"{run_name(one)}: {'; '.join(one.warnings)}" for one in result.results if one.warnings),
    ]
    last = closing(f"{count(len(result.results), 'model')} measured.", step)
    return Group(Text(f"{found.title}: {found.text}"), page, host_line(result.host), *quality(warnings), last)


def fleet_scenario_page(result: FleetScenarioResult) -> RenderableType:
    """Draw what a scenario found out on each board, one below the other."""
    parts: list[RenderableType] = []
    for board in result.boards:
        if board.fault is not None:
            parts.append(fault_line(board.host, board.host, board.fault))
        if board.result is not None:
            parts += [Text(board.host, style="bold"), scenario_page(board.result)]
        parts += [throttle_note(board.host, board.throttled)] if board.throttled else []
    return Group(*parts)
