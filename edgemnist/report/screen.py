"""The page of `edgemnist report`: where the real one is."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import closing, kilobytes
from edgemnist.results.pipeline import ReportResult


def report_page(result: ReportResult) -> RenderableType:
    """Say what was written, and what is not in it."""
    lines = [Text(warning, style="bold red") for warning in result.warnings]
    if result.missing:
        lines.append(Text(f"Not in it, because it has not been run yet: {', '.join(result.missing)}."))
    lines.append(closing(f"Wrote {result.file} ({kilobytes(result.bytes)}).", next(iter(result.missing), "")))
    return Group(*lines)
