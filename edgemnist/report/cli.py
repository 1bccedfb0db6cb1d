"""`edgemnist report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.console import command_app, options

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
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Write what all commands found out as one HTML file, which opens from disk and needs no network."""
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.exports.directory import Exports
    from edgemnist.report.run import write_report
    from edgemnist.report.screen import report_page

    result = write_report(Exports.open(exports, TerminalReporter()), output, markdown=markdown)
    show(result, lambda: report_page(result), json=json)
