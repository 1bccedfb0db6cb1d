"""`edgemnist report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemnist.cli import app, options


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
    from edgemnist.exports import find_exports
    from edgemnist.render import show
    from edgemnist.render.progress import TerminalReporter
    from edgemnist.render.report import report_page
    from edgemnist.report.run import write_report

    result = write_report(find_exports(exports, TerminalReporter()), output, markdown=markdown)
    show(result, lambda: report_page(result), json=json)
