"""The page of `edgemnist export`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import kilobytes, table
from edgemnist.results.pipeline import ExportResult


def export_page(result: ExportResult) -> RenderableType:
    """Draw the files that were written."""
    page = table("artifact", "size", "SHA-256", "file", left=["SHA-256"], prose=["file"])
    for artifact in result.artifacts:
        page.add_row(artifact.name, kilobytes(artifact.bytes), artifact.sha256[:12], artifact.file)
    return Group(page, Text(f"Golden pack of {result.golden_images:,} images: {result.golden}"))
