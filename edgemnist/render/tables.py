"""Tables and number formats that the pages share."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text


def table(*columns: str, title: str | None = None, left: Iterable[str] = ()) -> Table:
    """Return an empty table whose columns hold numbers, but for the first and those in `left`."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    words = {columns[0], *left}
    for column in columns:
        # fold: a column that is too narrow loses no digits
        made.add_column(column, justify="left" if column in words else "right", overflow="fold")
    return made


def percent(share: float, digits: int = 2) -> str:
    """Return a share between 0 and 1 as `97.91 %`."""
    return f"{100 * share:.{digits}f} %"


def kilobytes(count: int) -> str:
    """Return a number of bytes as `424 KB`, 1 KB being 1,000 bytes."""
    return f"{count / 1000:,.0f} KB"


def microseconds(value: float | None) -> str:
    """Return a latency with three figures that mean something: `6.05 µs`, `35.1 ms`; a dash where it is not known."""
    if value is None:
        return "–"
    if value >= 1000:  # noqa: PLR2004 - µs in a ms
        return f"{value / 1000:,.1f} ms"
    return f"{value:.2f} µs" if value < 10 else f"{value:.1f} µs"  # noqa: PLR2004 - three figures


def verdict(*, passed: bool) -> str:
    """Return the mark of a gate."""
    return "[green]pass[/]" if passed else "[bold red]FAIL[/]"


def doubts(warnings: Iterable[str]) -> list[Text]:
    """Return reasons to doubt a result, a line each."""
    return [Text.assemble(("doubt: ", "bold yellow"), warning) for warning in warnings]
