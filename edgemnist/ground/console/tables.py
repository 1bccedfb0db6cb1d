"""Tables and lines that the pages share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from edgemnist.ground.formatting import DISTURBED_LEGEND, count, host_fact
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN

if TYPE_CHECKING:
    from edgemnist.ground.results.bench import Decision
    from edgemnist.ground.results.boards import Fault

LONGEST_WORD = 16
"""Characters of a word that folding leaves whole, such as `tflite-dynamic`; a longer one, such as a path, is broken."""
_ANY_WIDTH = 10_000


class _UncutTable(Table):
    """A table that is wider than the terminal where it would otherwise lose a part of a name or a figure."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unlimited = options.update(width=_ANY_WIDTH)
        sizes = [
            [Measurement.get(console, unlimited, cell) for cell in (column.header, *column.cells)]
            for column in self.columns
        ]
        natural = [max(1, *(size.maximum for size in cells)) for cells in sizes]
        least = [
            width if column.no_wrap else max(min(size.minimum, LONGEST_WORD) for size in cells)
            for column, width, cells in zip(self.columns, natural, sizes, strict=True)
        ]
        self._set_widths(natural)
        between = Measurement.get(console, unlimited, self).maximum - sum(natural)
        # Rich itself would take from figures as well, and from words more than it needs.
        self._set_widths(narrowed(natural, least, options.max_width - between))
        yield from super().__rich_console__(console, unlimited)

    def _set_widths(self, widths: Iterable[int]) -> None:
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width


def narrowed(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return column widths that fit into `room` together, the widest narrowed first, and none below its least one."""
    widths = list(natural)
    while sum(widths) > room:
        wider = [place for place, width in enumerate(widths) if width > least[place]]
        if not wider:
            break
        widths[max(wider, key=widths.__getitem__)] -= 1
    return widths


def table(*columns: str, title: str | None = None, left: Iterable[str] = (), prose: Iterable[str] = ()) -> Table:
    """Return an empty table of numbers, but for the first column and those in `left`, which hold names or words.

    On a narrow terminal the columns in `prose` are folded, and no other is broken: the table may be wider than that.
    """
    made = _UncutTable(
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
        justify: JustifyMethod = "left" if column in words else "right"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=column not in folded)
    return made


_MARKS: Final = {PASSED: ("pass", "green"), MISSED: ("FAIL", "bold red"), UNKNOWN: ("unknown", "bold yellow")}


def outcome(word: str) -> Text:
    """Return the mark of a gate by the outcome of a verdict."""
    return Text(*_MARKS[word])


def quality(warnings: Iterable[str]) -> list[Text]:
    """Return what is to be said about the quality of a measurement, a line each."""
    return [Text.assemble(("quality: ", "bold yellow"), warning) for warning in warnings]


def disturbed(tainted: Iterable[bool]) -> list[Text]:
    """Return the line that explains the mark of tainted figures; none where no figure of a page is tainted."""
    return [Text(DISTURBED_LEGEND, "yellow")] if any(tainted) else []


def closing(verdict: str, step: str, *, passed: bool = True) -> Text:
    """Return the last line of a page: the verdict in one sentence, and the command that comes next."""
    return Text.assemble((verdict, "bold green" if passed else "bold red"), f" Next: {step}" if step else "")


def decision_lines(decision: Decision, step: str) -> list[Text]:
    """Return what ends a page that says what to ship: which models cannot be, and the decision."""
    excluded = [Text(f"{decision.excluded}.")] if decision.excluded else []
    return [*excluded, closing(f"{decision.sentence}.", step, passed=decision.name is not None)]


def closing_of_boards(done: Sequence[str], failed: Sequence[str], step: str) -> Text:
    """Return the last line of a page about boards: how many were measured, and where to look if one was not."""
    verdict = f"{len(done)} of {count(len(done) + len(failed), 'board')} measured."
    return closing(verdict, f"edgemnist doctor --on {failed[0]}" if failed else step, passed=not failed)


def host_line(host: Mapping[str, Any]) -> Text:
    """Return the facts about a host that are a word or a number, on one line."""
    facts = [" ".join(host_fact(*one)) for one in host.items() if isinstance(one[1], str | int | float) and one[1]]
    return Text("Host: " + ", ".join(facts), style="dim")


def throttle_note(host: str, throttled: Sequence[str]) -> Text:
    """Return what a board's firmware means for its figures."""
    return Text(f"{host}: {', '.join(throttled)} during the measurement, so its figures are too slow.", "bold red")


def fault_line(name: str, host: str, fault: Fault) -> Text:
    """Return what went wrong on a board; a message that begins with the host has it replaced by the board's name."""
    message = fault.message.removeprefix(host)
    return Text.assemble((name, "bold red"), message if message != fault.message else f": {message}", ". ", fault.hint)
