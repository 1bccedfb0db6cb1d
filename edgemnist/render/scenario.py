"""The page of `edgemnist bench --scenario` and `--duty-cycle`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.bench.results import ScenarioResult
from edgemnist.deploy.results import FleetScenarioResult
from edgemnist.render.bench import host_line, throttle_note
from edgemnist.render.deploy import fault_line
from edgemnist.render.scenario_table import played_name, scenario_table
from edgemnist.render.tables import doubts, table


def scenario_page(result: ScenarioResult) -> RenderableType:
    """Draw what a scenario found out about each artifact."""
    found = scenario_table(result)
    page = table(*found.columns)
    for row in found.rows:
        page.add_row(*(Text(cell.text, style="bold" if cell.strong else "") for cell in row))
    warnings = [
        *result.warnings,
        *(f"{played_name(one)}: {warning}" for one in result.results for warning in one.warnings),
    ]
    return Group(Text(f"{found.title}: {found.text}"), page, host_line(result.host), *doubts(warnings))


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
