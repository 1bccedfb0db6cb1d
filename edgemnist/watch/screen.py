"""What `edgemnist watch` prints: lines of JSON for programs, and what changes for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import groupby

import msgspec
from rich.text import Text

from edgemnist.console.terminal import out
from edgemnist.formatting import percent
from edgemnist.results.pictures import WatchReading


def printer(*, json: bool) -> Callable[[WatchReading], None]:
    """Return what prints readings: as JSON where that was asked for, or where stdout is not a terminal."""
    if json or not out().is_terminal:
        # One line each; it raises ReaderGoneError where nobody reads any more.
        return lambda reading: print_text(msgspec.json.encode(reading).decode() + "\n")
    return _Changes().print


def print_text(text: str) -> None:
    """Write a text as it is."""
    out().file.write(text)


class _Changes:
    """Prints the numbers of a frame where they are others than before, as they stand on the page."""

    def __init__(self) -> None:
        self._before: tuple[str, list[str]] | None = None

    def print(self, reading: WatchReading) -> None:
        rows = [
            "  ".join(number.text for number in line)
            for _, line in groupby(reading.numbers, key=lambda number: number.line)
        ]
        if self._before == (reading.source, rows):
            return
        new_source = self._before is None or self._before[0] != reading.source
        self._before = reading.source, rows
        time = datetime.fromisoformat(reading.timestamp).astimezone().strftime("%H:%M:%S")
        certain = "" if reading.confidence is None else f"  {percent(reading.confidence, 1)}"
        remark = f"{certain}  {reading.milliseconds.total:,.0f} ms{f'  {reading.source}' if new_source else ''}"
        out().print(
            Text.assemble(f"{time}  ", (rows[0] if rows else "nothing", "bold" if rows else "dim"), (remark, "dim"))
        )
        for row in rows[1:]:
            out().print(Text.assemble(" " * (len(time) + 2), (row, "bold")))
