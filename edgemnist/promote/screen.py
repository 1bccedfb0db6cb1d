"""`edgemnist promote`: what speaks for the release, and whether it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from edgemnist.console.tables import closing, table
from edgemnist.formatting import percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.results.boards import PromoteResult


def promote_page(result: PromoteResult, to: str) -> RenderableType:
    """Draw the evidence, and what became of it; `to` is what names the board behind `--to`."""
    releases = f"edgemnist releases --to {to}"
    if result.dropped:
        served = result.previous or "nothing"
        return closing(f"{result.release} no longer answers beside {served} on {result.host}.", releases)
    page = table("", "images", "", prose=[""])
    page.add_row("answered in the shadow", f"{result.compared:,}", "")
    share = percent(result.differing / result.compared) if result.compared else ""
    page.add_row("answers that differ", f"{result.differing:,}", share)
    if result.labelled:
        p_value = "" if result.p_value is None else f", p = {result.p_value:.2g}"
        found = f"{result.before:,} right before, {result.after:,} after: "
        found += f"{result.fixed:,} fixed, {result.broken:,} broken"
        page.add_row("samples with a label", f"{result.labelled:,}", found + p_value)
    if not result.passed:
        reasons = [Text(f"Gate missed. {reason}") for reason in result.reasons]
        drop = f"edgemnist promote --to {to} --drop"
        return Group(page, *reasons, closing(f"{result.host} serves what it served before.", drop, passed=False))
    before = result.previous or "it serves already"
    return Group(page, closing(f"{result.host} is serving {result.release} (previously: {before}).", releases))
