"""The page of `edgemnist verify`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.render.tables import percent, table, verdict
from edgemnist.results import VerifyResult


def verify_page(result: VerifyResult) -> RenderableType:
    """Draw the parity table, and below it every reason for a missed gate."""
    page = table("artifact", "accuracy", "drop", "flips", "max |Δp|", "mean |Δp|", "1 vs N", "gate", left=["gate"])
    for parity in result.artifacts:
        page.add_row(
            parity.name,
            percent(parity.accuracy),
            f"{parity.accuracy_drop_points:+.2f}",
            str(parity.flips),
            f"{parity.max_abs_diff:.1e}",
            f"{parity.mean_abs_diff:.1e}",
            f"{parity.max_batch_diff:.0e}",
            verdict(passed=parity.passed),
        )
    heading = (
        f"{result.images:,} evaluation images; the Keras model is right on {percent(result.reference_accuracy)}. "
        "Drop in points, 1 vs N: batch of one against a large batch."
    )
    reasons = [
        Text.assemble((f"{parity.name}: ", "bold red"), reason)
        for parity in result.artifacts
        for reason in parity.reasons
    ]
    return Group(Text(heading), page, *reasons)
