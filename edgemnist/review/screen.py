"""`edgemnist review`: how many samples to review, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgemnist.console import show_listening
from edgemnist.console.tables import table
from edgemnist.formatting import count

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from edgemnist.results.samples import ReviewResult


def summary_page(result: ReviewResult, out_directory: Path | None) -> RenderableType:
    """Draw how many samples there are, and what was imported or exported."""
    page = table("", " ", prose=[" "])
    page.show_header = False
    if result.imported is not None:
        page.add_row("imported", f"{result.imported:,} labels, as {result.writer}")
    if result.exported is not None:
        page.add_row("exported", f"{result.exported:,} labelled samples to {out_directory}")
    page.add_row("samples", f"{result.samples:,}")
    page.add_row("labelled", f"{result.labelled:,}")
    if result.disputed:
        page.add_row("disputed", f"{result.disputed:,}, shown again until somebody decides")
    page.add_row("to review", f"{result.to_review:,}")
    return page


def show_started(result: ReviewResult, *, json: bool, token: str | None) -> None:
    """Say where the page is; see `show_listening`."""
    where = result.address or result.url
    sentence = f"{result.to_review:,} of {count(result.samples, 'sample')} to review, as {result.writer}, at {where}."
    show_listening(result, sentence, result.address, token, json=json)
