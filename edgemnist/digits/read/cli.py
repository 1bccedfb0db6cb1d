"""`edgemnist read`: its options and its page."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgemnist.ground.console import TerminalReporter, command_app, options, quiet_libraries, show
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.formatting import answered_by, count, percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.digits.results import ReadResult, ReadTable

app = command_app()


@app.command(epilog="Example: edgemnist read form.jpg --csv form.csv --boxes boxes.png")
def read(
    page: Annotated[
        Path,
        # As with `predict`: what cannot be read is told when it is read.
        typer.Argument(
            metavar="PAGE", help="A picture with any number of digits, or - for standard input.", readable=False
        ),
    ],
    *,
    boxes: Path | None = option(
        "--boxes FILE", "Write a PNG or JPEG of the page with a box around each digit and each cell."
    ),
    csv: Path | None = option(
        "--csv FILE", "Write the table to a CSV file; several to FILE-1.csv, FILE-2.csv, and so on."
    ),
    table: bool = flag("--table", "Print the tables of the page instead of its lines."),
    signs: Literal["text", "none"] = option(
        "--signs HOW", "none leaves out the points, commas, slashes, colons and minuses of numbers.", "text"
    ),
    min_confidence: options.MinConfidence = None,
    artifact: options.Model = None,
    threads: options.Threads = 1,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Read every digit on a page, line by line, and the numbers and tables that they form."""
    options.limit_numpy_threads()
    from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, ReadConfig
    from edgemnist.digits.read.run import read_file, write_tables
    from edgemnist.model.answers import observing
    from edgemnist.model.exports import open_for_answers
    from edgemnist.model.exports.outputs import CSV, PICTURE, check_output

    for words, output, kind in (("--boxes", boxes, PICTURE), ("--csv", csv, CSV)):
        check_output(words, output, kind, inputs=[page])
    reporter = TerminalReporter()
    least = DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence
    config = ReadConfig(min_confidence=least, signs=signs != "none")
    observers = observing(collect, collect_max)
    opened = open_for_answers(exports, artifact, reporter)
    with quiet_libraries():
        result = read_file(
            opened,
            page,
            config,
            artifact=artifact,
            threads=threads,
            boxes=boxes,
            observing=observers,
            reporter=reporter,
        )
    show(result, lambda: read_page_view(result, tables=table), json=json)
    if csv is not None:
        write_tables(result, csv, reporter)


def read_page_view(result: ReadResult, *, tables: bool = False) -> RenderableType:
    """Write the numbers as they stand on the page, line by line, or its `tables`; and below them how it went."""
    lines: list[RenderableType] = [_drawn(table) for table in result.tables]
    if not tables:
        numbers = (members for _, members in groupby(result.numbers, key=lambda number: number.line))
        lines = [Text("  ".join(number.text for number in members), style="bold") for members in numbers]
    elif not lines:
        lines = [Text("No table was found on the page.")]

    times = result.milliseconds
    total = times.find + times.normalize + times.classify + times.arrange
    summary = f"{count(len(result.digits), 'digit')}, {_refused(result)}, {total:,.0f} ms"
    return Group(*lines, Text(f"{summary} · {answered_by(result.artifact, result.runtime)}", style="dim"))


def _refused(result: ReadResult) -> str:
    """Return how many digits were refused for their own confidence, and how many by each rule on what is around."""
    rules = Counter(digit.refused for digit in result.digits if digit.digit is None)
    doubtful = rules.pop("confidence", 0)
    threshold = percent(result.min_confidence, 0)
    if not rules:
        return f"{doubtful:,} refused below {threshold}"
    context = ", ".join(f"{number:,} by {rule}" for rule, number in sorted(rules.items(), key=str))
    return f"{doubtful + rules.total():,} refused ({doubtful:,} below {threshold}, {context})"


def _drawn(table: ReadTable) -> Table:
    from edgemnist.digits.read.run import rows_of

    view = Table(box=box.SQUARE, show_header=False, show_lines=True, style="dim")
    for _ in range(table.columns):
        view.add_column(justify="right", style="bold", no_wrap=True)
    for row in rows_of(table):
        view.add_row(*row)
    return view
