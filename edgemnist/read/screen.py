"""The page of `edgemnist read`."""

from __future__ import annotations

from itertools import groupby

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.formatting import answered_by, count, percent
from edgemnist.read.sheets import rows_of
from edgemnist.results.pictures import ReadResult, ReadTable


def read_page_view(result: ReadResult, *, tables: bool = False) -> RenderableType:
    """Write the numbers as they stand on the page, line by line, or its `tables`; and below them how it went."""
    lines: list[RenderableType] = [_drawn(table) for table in result.tables] if tables else _lines(result)
    if tables and not lines:
        lines = [Text("No table was found on the page.")]

    refused = sum(digit.digit is None for digit in result.digits)
    times = result.milliseconds
    total = times.find + times.normalize + times.classify + times.arrange
    found = count(len(result.digits), "digit")
    summary = f"{found}, {refused:,} refused below {percent(result.min_confidence, 0)}, {total:,.0f} ms"
    return Group(*lines, Text(f"{summary} · {answered_by(result.artifact, result.runtime)}", style="dim"))


def _lines(result: ReadResult) -> list[RenderableType]:
    return [
        Text("  ".join(number.text for number in members), style="bold")
        for _, members in groupby(result.numbers, key=lambda number: number.line)
    ]


def _drawn(table: ReadTable) -> Table:
    view = Table(box=box.SQUARE, show_header=False, show_lines=True, style="dim")
    for _ in range(table.columns):
        view.add_column(justify="right", style="bold", no_wrap=True)
    for row in rows_of(table):
        view.add_row(*row)
    return view
