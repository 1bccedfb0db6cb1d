"""`edgemnist report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.ground.console import TerminalReporter, command_app, options, show
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.console.tables import closing
from edgemnist.ground.formatting import kilobytes

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import ReportResult
    from edgemnist.model.exports import Exports

app = command_app()


@app.command(epilog="Example: edgemnist report --output report.html")
def report(
    *,
    output: Path | None = option("--output FILE", "Where to write it.", shown="report.html in the export directory"),
    markdown: bool = flag("--markdown", "Write the summary as Markdown, for a pull request, as for --output FILE.md."),
    exports: options.Exports = None,
    json: options.Json = False,
) -> None:
    """Write what all commands found as one HTML file, which opens from disk and needs no network."""
    from edgemnist.model.exports import Exports
    from edgemnist.model.exports.outputs import HTML, MARKDOWN, check_output
    from edgemnist.pipeline.report.page import write_report

    markdown = markdown or (output is not None and output.suffix == ".md")
    check_output("--output", output, MARKDOWN if markdown else HTML)
    opened = Exports.open(exports, TerminalReporter())
    result = write_report(opened, output, markdown=markdown)
    show(result, lambda: report_page(result, _step(opened, result)), json=json)


def _step(opened: Exports, result: ReportResult) -> str:
    """Return the command that comes next where nothing is missing; nothing where nothing can be shipped."""
    return opened.command(f"bundle {result.recommended} --output bundle.zip") if result.recommended else ""


def report_page(result: ReportResult, step: str = "") -> RenderableType:
    """Say what was written, and what is not in it. `step` is the command that comes next if it is complete."""
    lines = [Text(warning, style="bold red") for warning in result.warnings]
    # A single one is the next step.
    if len(result.missing) > 1:
        lines.append(Text(f"To complete the report, run: {', '.join(result.missing)}."))
    lines.append(closing(f"Wrote {result.file} ({kilobytes(result.bytes)}).", next(iter(result.missing), step)))
    return Group(*lines)
