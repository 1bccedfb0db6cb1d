"""`edgemnist report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console import TerminalReporter, command_app, options, show
from edgemnist.console.tables import closing
from edgemnist.formatting import kilobytes

if TYPE_CHECKING:
    from edgemnist.results.pipeline import ReportResult

app = command_app()


@app.command(epilog="Example: edgemnist report --output report.html")
def report(
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", show_default="report.html in the export directory", help="Where to write it."
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the summary as Markdown, for a pull request.")
    ] = False,
    samples: Annotated[
        list[Path] | None,
        typer.Option(
            "--samples", metavar="DIR|FILE", help="Add what `edgemnist health` says about these counts; repeatable."
        ),
    ] = None,
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Write what all commands found as one HTML file, which opens from disk and needs no network."""
    from edgemnist.exports import Exports
    from edgemnist.exports.outputs import HTML, MARKDOWN, check_output
    from edgemnist.report.page import write_report

    check_output("--output", output, MARKDOWN if markdown else HTML)
    opened = Exports.open(exports, TerminalReporter())
    result = write_report(opened, output, markdown=markdown, samples=samples or ())
    show(result, lambda: report_page(result, opened.command("recommend")), json=json)


def report_page(result: ReportResult, step: str = "") -> RenderableType:
    """Say what was written, and what is not in it. `step` is the command that comes next if it is complete."""
    lines = [Text(warning, style="bold red") for warning in result.warnings]
    # A single one is the next step.
    if len(result.missing) > 1:
        lines.append(Text(f"To complete the report, run: {', '.join(result.missing)}."))
    lines.append(closing(f"Wrote {result.file} ({kilobytes(result.bytes)}).", next(iter(result.missing), step)))
    return Group(*lines)
