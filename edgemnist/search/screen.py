"""What a terminal shows of a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from edgemnist.console.tables import closing, quality, table
from edgemnist.exports.manifest import command
from edgemnist.formatting import count, microseconds, percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.results.search import SearchResult


def search_page(result: SearchResult, directory: Path) -> RenderableType:
    """Draw a line for each of the best networks, and what comes next."""
    page = table("network", "bytes", "RAM", "accuracy", "p50", "best in", prose=["network", "best in"])
    for row in result.rows:
        page.add_row(
            row.network,
            f"{row.bytes:,}",
            f"{row.ram_bytes:,}",
            percent(row.accuracy),
            microseconds(row.p50_us),
            ", ".join(row.best),
        )
    legend = Text(
        f"{count(result.trained, 'network')} tried ({result.stopped:,} stopped early, {result.rejected:,} more beyond "
        f"a limit), chosen by {result.selection_images:,} training images; accuracy on {result.images:,} test images; "
        f"recipe {result.recipe}, seed {result.seed}; p50 of {result.measured_on} · {directory / result.picture}",
        style="dim",
    )
    missed = [Text(f"{row.network}: {'; '.join(row.misses)}.") for row in result.rows if row.misses]
    fitting = [row for row in result.rows if not row.misses]
    if fitting:
        step = command("recommend", directory / fitting[0].directory)
        last = closing(f"Within the limits: {len(fitting)} of {count(len(result.rows), 'network')}.", step)
    else:
        nearest = result.rows[0]
        last = closing(
            f"Nothing fits. The nearest is {nearest.network}.", "wider limits, or more --minutes.", passed=False
        )
    return Group(page, *quality(result.warnings), legend, *missed, last)
