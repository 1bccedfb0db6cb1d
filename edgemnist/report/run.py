"""Writing the report."""

from __future__ import annotations

from pathlib import Path

from edgemnist.exports.directory import Exports
from edgemnist.report.data import ReportData, read_report_data
from edgemnist.report.markdown import markdown_page
from edgemnist.report.page import html_page
from edgemnist.results.pipeline import ReportResult
from edgemnist.storage import write_file

HTML_FILE = "report.html"
MARKDOWN_FILE = "report.md"


def write_report(exports: Exports, output: Path | None = None, *, markdown: bool = False) -> ReportResult:
    """Write the report of an export directory, into that directory where no `output` is named.

    The report of the reference, which nothing is written to, goes to the current directory.

    Raises ManifestError and ArtifactError where the records are missing or broken, MissingDependencyError where what
    draws the page is not installed, and StorageError where it cannot be written.
    """
    facts: ReportData = read_report_data(exports)
    page = markdown_page(facts) if markdown else html_page(facts)
    path = output or _usual_place(exports) / (MARKDOWN_FILE if markdown else HTML_FILE)
    data = page.encode()
    write_file(path, data)
    return ReportResult(
        file=str(path),
        bytes=len(data),
        recommended=facts.recommended,
        missing=facts.missing(),
        warnings=facts.warnings(),
    )


def _usual_place(exports: Exports) -> Path:
    return Path() if exports.is_reference else exports.directory
