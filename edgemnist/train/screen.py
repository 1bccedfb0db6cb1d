"""The page of `edgemnist train`."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from edgemnist.console.tables import percent, table
from edgemnist.results.train import TrainResult


def train_page(result: TrainResult, exports: Path) -> RenderableType:
    """Draw what was trained, on what, and how well it does."""
    page = table("", " ", prose=[" "])
    page.show_header = False
    network = "-".join(str(units) for units in (784, *result.hidden, len(result.labels)))
    stopped = " (interrupted)" if result.interrupted else ""
    page.add_row("network", f"{network}, {result.parameters:,} parameters")
    page.add_row("recipe", f"{result.recipe}, {result.epochs} epochs{stopped}, seed {result.seed}")
    page.add_row("data", f"{result.data.source}: {result.data.train:,} to train, {result.data.test:,} to test")
    page.add_row("test accuracy", f"[bold]{percent(result.test_accuracy)}[/]")
    page.add_row("train accuracy", percent(result.train_accuracy))
    for condition, accuracy in result.robustness.items():
        page.add_row(f"  {condition}", percent(accuracy))
    page.add_row("fit", f"{result.fit_seconds:.1f} s")
    page.add_row("model", str(exports / result.model))
    if result.teacher:
        page.add_row("teacher", result.teacher)
    for what, file in result.pictures.items():
        page.add_row(what, str(exports / file))
    return page
