"""`edgemnist recommend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.errors import EXIT_GATE_MISSED
from edgemnist.ground.console import TerminalReporter, command_app, options, show
from edgemnist.ground.console.tables import closing, disturbed, outcome, quality, table
from edgemnist.ground.formatting import kilobytes, microseconds, percent

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import RecommendResult

app = command_app()


@app.command(epilog="Example: edgemnist recommend --json")
def recommend(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """Say which artifact to ship to this board and why. Exit 1 if there is none.

    It weighs what `edgemnist verify` and `edgemnist bench` found: run both first, on the board itself.
    """
    from edgemnist.model.exports import Exports
    from edgemnist.pipeline.recommend.weigh import recommend as weigh

    opened = Exports.open(exports, TerminalReporter())
    result = weigh(opened)
    show(result, lambda: recommend_page(result, opened.command(next_words(result))), json=json)
    if result.recommended is None:
        raise typer.Exit(EXIT_GATE_MISSED)


def next_words(result: RecommendResult) -> str:
    """Return the words of the next command: ship what is recommended, or measure again what may be; else nothing."""
    if result.recommended is not None:
        return f"bundle {result.recommended} --output bundle.zip"
    return "bench" if any(one.passed and one.tainted for one in result.candidates) else ""


def recommend_page(result: RecommendResult, step: str = "") -> RenderableType:
    """Draw the facts that speak for a model, what the candidates cost, and at the end what to ship."""
    merits = [one.merit for one in result.candidates if isinstance(one.merit, str)]
    column = "difference" if merits else "accuracy"
    page = table("artifact", "p50", column, "size", "gate", left=["gate"], prose=["difference"] if merits else [])
    for one in result.candidates:
        chosen = one.name == result.recommended
        page.add_row(
            Text(one.name, "bold green" if chosen else ""),
            microseconds(one.p50_us, tainted=one.tainted),
            str(one.merit) if one.accuracy is None else percent(one.accuracy),
            kilobytes(one.bytes),
            outcome(one.outcome),
        )
    last = closing(f"{result.headline}.", step, passed=result.recommended is not None)
    facts = [Text(f"- {fact}") for fact in result.facts]
    table_of_candidates = [page] if result.candidates else []
    notes = [*disturbed(one.tainted for one in result.candidates), *quality(result.warnings)]
    return Group(Text(result.reason), *facts, *table_of_candidates, *notes, last)
