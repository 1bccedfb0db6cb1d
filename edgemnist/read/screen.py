"""The page of `edgemnist read`."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.results.pictures import ReadResult


def read_page_view(result: ReadResult) -> RenderableType:
    """Write the numbers as they stand on the page, line by line, and below them how it went."""
    lines = [
        Text("  ".join(number.text for number in members), style="bold")
        for _, members in groupby(result.numbers, key=lambda number: number.line)
    ]
    refused = sum(digit.digit is None for digit in result.digits)
    times = result.milliseconds
    total = times.find + times.normalize + times.classify + times.arrange
    summary = f"{len(result.digits)} digits, {refused} refused below {result.min_confidence:.0%}, {total:.0f} ms"
    return Group(*lines, Text(f"{summary} · {result.artifact}, {result.runtime}", style="dim"))
