"""The page of `edgemnist frontier`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import closing, count, kilobytes, microseconds, percent, quality, table, verdict
from edgemnist.results.pipeline import FrontierResult


def frontier_page(result: FrontierResult, directory: Path) -> RenderableType:
    """Draw a line for each artifact, from the smallest to the largest."""
    columns = ("units", "artifact", "size", "accuracy", "flips", "p50", "best", "gate")
    page = table(*columns, left=["artifact", "best", "gate"])
    for row in result.rows:
        best = " ".join(word for word, holds in (("size", row.smallest), ("p50", row.fastest)) if holds)
        page.add_row(
            "-".join(map(str, row.hidden)),
            row.name,
            kilobytes(row.bytes),
            percent(row.accuracy),
            str(row.flips),
            microseconds(row.p50_us),
            best,
            verdict(passed=row.passed),
        )
    legend = Text(
        f"best: of those that passed, no other is as small (or as fast) and as accurate · recipe {result.recipe}, "
        f"seed {result.seed}, "
        f"{result.images:,} test images · {directory / result.picture}",
        style="dim",
    )
    worthy = [row for row in result.rows if row.smallest]
    if not worthy:
        last = closing("No network passed its gate.", "", passed=False)
    else:
        step = f"edgemnist recommend --exports {directory / worthy[0].directory}"
        last = closing(f"{count(len(worthy), 'artifact')} of {len(result.rows)} worth their bytes.", step)
    return Group(page, *quality(result.warnings), legend, last)
