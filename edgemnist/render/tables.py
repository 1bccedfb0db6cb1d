"""Tables and number formats that the pages share."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text


def table(*columns: str, title: str | None = None, left: Iterable[str] = (), prose: Iterable[str] = ()) -> Table:
    """Return an empty table of numbers, but for the first column and those in `left`, which hold names or words.

    The columns in `prose` are folded where the terminal is too narrow; all others are never broken.
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        # With the box's own blank that makes two columns, so that eight figures fit into a terminal of 80.
        padding=(0, 1, 0, 0),
    )
    folded = set(prose)
    words = {columns[0], *left, *folded}
    for column in columns:
        made.add_column(
            column,
            justify="left" if column in words else "right",
            overflow="fold",
            no_wrap=column not in folded,
        )
    return made


def percent(share: float, digits: int = 2) -> str:
    """Return a share between 0 and 1 as `97.91 %`."""
    return f"{100 * share:.{digits}f} %"


def kilobytes(count: int) -> str:
    """Return a number of bytes as `424 KB`, 1 KB being 1,000 bytes."""
    return f"{count / 1000:,.0f} KB"


def microseconds(value: float | None) -> str:
    """Return a latency with three figures: `6.05 µs`, `352 µs`, `35.1 ms`; a dash where it is not known."""
    if value is None:
        return "–"
    if value >= 1000:  # noqa: PLR2004 - µs in a ms
        return f"{value / 1000:,.1f} ms"
    digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004 - three figures
    return f"{value:.{digits}f} µs"


def ratio(value: float | None) -> str:
    """Return how many times as fast something is: `2,380×`, `1.42×`; empty where it is not known."""
    if value is None:
        return ""
    return f"{value:,.0f}×" if value >= 100 else f"{value:.2f}×"  # noqa: PLR2004 - three figures


def verdict(*, passed: bool) -> str:
    """Return the mark of a gate."""
    return "[green]pass[/]" if passed else "[bold red]FAIL[/]"


def doubts(warnings: Iterable[str]) -> list[Text]:
    """Return reasons to doubt a result, a line each."""
    return [Text.assemble(("doubt: ", "bold yellow"), warning) for warning in warnings]
