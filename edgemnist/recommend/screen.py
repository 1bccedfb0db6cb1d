"""The page of `edgemnist recommend`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import kilobytes, microseconds, percent, quality, table, verdict
from edgemnist.results.pipeline import RecommendResult


def recommend_page(result: RecommendResult) -> RenderableType:
    """Draw what to ship, the facts that speak for it, and what the candidates cost."""
    page = table("artifact", "p50", "accuracy", "size", "fits in", "gate", left=["fits in", "gate"])
    for one in result.candidates:
        chosen = one.name == result.recommended
        page.add_row(
            f"[bold green]{one.name}[/]" if chosen else one.name,
            microseconds(one.p50_us),
            percent(one.accuracy),
            kilobytes(one.bytes),
            one.fits_in or "",
            verdict(passed=one.passed),
        )
    advice = Text.assemble("Ship ", (result.recommended or "nothing", "bold green"), ".")
    return Group(
        advice, Text(result.reason), *(Text(f"- {fact}") for fact in result.facts), page, *quality(result.warnings)
    )
