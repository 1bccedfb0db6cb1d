"""The page of whichever kind of `edgemnist bench` it was."""

from __future__ import annotations

from rich.console import RenderableType

from edgemnist.bench.results import PairResult, ScenarioResult
from edgemnist.deploy.results import FleetBenchResult, FleetScenarioResult
from edgemnist.render.bench import bench_page, fleet_bench_page, pair_page
from edgemnist.render.scenario import fleet_scenario_page, scenario_page
from edgemnist.results import BenchResult


def benchmark_page(result: BenchResult | PairResult | ScenarioResult) -> RenderableType:
    """Draw a result."""
    if isinstance(result, PairResult):
        return pair_page(result)
    if isinstance(result, ScenarioResult):
        return scenario_page(result)
    return bench_page(result)


def fleet_page(result: FleetBenchResult | FleetScenarioResult) -> RenderableType:
    """Draw what several boards found out."""
    return fleet_scenario_page(result) if isinstance(result, FleetScenarioResult) else fleet_bench_page(result)
