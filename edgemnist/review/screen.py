"""`edgemnist review`: how many samples to review, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.text import Text

from edgemnist.console.tables import table
from edgemnist.console.terminal import err, out
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
    """Say where the page is; on a terminal, with a link for a phone that includes the token."""
    if json:
        out().print(result.to_json(), soft_wrap=True)
        return
    where = result.address or result.url
    words = f"{result.to_review:,} of {count(result.samples, 'sample')} to review, as {result.writer}, at {where}. "
    err().print(Text(f"{words}Stop it with Ctrl-C."), soft_wrap=True)
    if result.address is not None and err().is_terminal:
        link = f"{result.address}#token={quote(token)}" if token else result.address
        err().print(Text(f"On a phone in the same network, open {link}"), soft_wrap=True)
