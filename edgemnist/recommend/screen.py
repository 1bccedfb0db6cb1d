"""The page of `edgemnist recommend`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import closing, kilobytes, microseconds, percent, quality, table, verdict
from edgemnist.results.pipeline import RecommendResult


def recommend_page(result: RecommendResult, step: str = "") -> RenderableType:
    """Draw the facts that speak for a model, what the candidates cost, and at the end what to ship."""
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
    last = closing(f"Ship {result.recommended or 'nothing'}.", step, passed=result.recommended is not None)
    facts = [Text(f"- {fact}") for fact in result.facts]
    table_of_candidates = [page] if result.candidates else []
    return Group(Text(result.reason), *facts, *table_of_candidates, *quality(result.warnings), last)
