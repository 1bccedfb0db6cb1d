"""The page of `edgemnist doctor`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from edgemnist.console.tables import table
from edgemnist.results.boards import DoctorResult, Finding, Level

_MARKS = {
    Level.OK: "[green]ok[/]",
    Level.WARNING: "[yellow]warning[/]",
    Level.FAILURE: "[bold red]FAIL[/]",
}


def doctor_page(result: DoctorResult) -> RenderableType:
    """Draw a line for each finding, and below them what mends those that are not as they should be."""
    page = table("what", "", "found", "which means", left=[""], prose=["found", "which means"])
    for finding in result.findings:
        page.add_row(escape(finding.name), _MARKS[finding.level], escape(finding.value), escape(finding.meaning))
    remedies = [_remedy(finding) for finding in result.findings if finding.level is not Level.OK and finding.mend]
    verdict = "fit" if result.healthy else "not fit for edgemnist"
    return Group(page, *remedies, Text(f"{result.host} is {verdict}."))


def _remedy(finding: Finding) -> Text:
    return Text.assemble((f"{finding.name}: ", "bold"), finding.mend)
