"""`edgemnist recommend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, show
from edgemnist.console.tables import closing, quality, table, verdict
from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.formatting import kilobytes, microseconds, percent

if TYPE_CHECKING:
    from edgemnist.results.pipeline import RecommendResult

app = command_app()


@app.command(epilog="Example: edgemnist recommend --json")
def recommend(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """Say which artifact to ship to this board and why. Exit 1 if there is none.

    It weighs what `edgemnist verify` and `edgemnist bench` found: run both first, on the board itself.
    """
    from edgemnist.exports import Exports
    from edgemnist.recommend.weigh import recommend as weigh

    opened = Exports.open(exports, TerminalReporter())
    result = weigh(opened)
    step = opened.command(f"bundle {result.recommended} --output bundle.zip")
    show(result, lambda: recommend_page(result, step if result.recommended else ""), json=json)
    if result.recommended is None:
        raise typer.Exit(EXIT_GATE_MISSED)


def recommend_page(result: RecommendResult, step: str = "") -> RenderableType:
    """Draw the facts that speak for a model, what the candidates cost, and at the end what to ship."""
    page = table("artifact", "p50", "accuracy", "size", "fits in", "gate", left=["fits in", "gate"])
    for one in result.candidates:
        chosen = one.name == result.recommended
        page.add_row(
            Text(one.name, "bold green" if chosen else ""),
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
