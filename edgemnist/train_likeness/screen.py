"""The page of `edgemnist train-likeness`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from edgemnist.console.tables import table
from edgemnist.formatting import count, percent

if TYPE_CHECKING:
    from edgemnist.train_likeness.run import TrainLikenessResult


def train_likeness_page(result: TrainLikenessResult) -> RenderableType:
    """Draw what was made, of what, and what it refuses."""
    page = table("", " ", prose=[" "])
    page.show_header = False
    network, calibration = result.network, result.calibration
    page.add_row(
        "network", f"seed {network.recipe.seed}, {count(network.recipe.epochs, 'epoch')}, {network.fit_seconds:.0f} s"
    )
    page.add_row("learned from", f"{network.digits:,} digits and {network.others:,} other drawings")
    page.add_row("calibrated for", calibration.artifact)
    page.add_row("threshold", Text(f"{calibration.min_confidence:.2f}", "bold"))
    page.add_row("  digits answered", percent(calibration.answered))
    page.add_row("  answered right", percent(calibration.right_of_answered))
    page.add_row("  letters refused", percent(calibration.letters_refused))
    page.add_row("  scribbles refused", percent(calibration.scribbles_refused))
    page.add_row("files", f"{', '.join(result.files)} in {result.directory}")
    return page
