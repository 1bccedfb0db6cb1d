"""The page of `edgemnist releases`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import table
from edgemnist.results.boards import ReleasesResult


def releases_page(result: ReleasesResult) -> RenderableType:
    """Draw the releases, the newest last, and what is unfinished."""
    if not result.releases:
        return Text(f"{result.host} has no release.")
    page = table("release", "", "edgemnist", "artifacts", "signed", "deployed", "files",
                 left=["", "edgemnist", "signed"], prose=["artifacts", "deployed", "files"])  # fmt: skip
    for row in result.releases:
        page.add_row(
            row.release,
            "[green]serves[/]" if row.current else "",
            row.edgemnist or "",
            ", ".join(row.artifacts),
            "yes" if row.signed else "no",
            (row.deployed_at or "").replace("T", " "),
            "[bold red]not whole[/]" if row.problems else "whole",
        )
    notes = [
        Text.assemble((f"{row.release}: ", "bold red"), problem) for row in result.releases for problem in row.problems
    ]
    if result.pending:
        notes.append(Text(f"The switch to {result.pending} was cut off; the next deployment ends or undoes it."))
    if result.busy:
        notes.append(Text(f"A deployment is at work there (process {result.busy})."))
    return Group(page, *notes)
