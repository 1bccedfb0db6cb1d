"""The page of `edgemnist bundle`."""

from __future__ import annotations

from rich.console import RenderableType
from rich.markup import escape

from edgemnist.console.tables import kilobytes, table
from edgemnist.results.boards import BundleResult


def bundle_page(result: BundleResult) -> RenderableType:
    """Draw what is in the bundle."""
    wheels = "fetched by the board" if not result.pythons else f"{result.machine}, Python {', '.join(result.pythons)}"
    rows = {
        "file": f"{result.bundle}, {kilobytes(result.bytes)}",
        "artifacts": ", ".join(result.artifacts),
        "package": f"edgemnist {result.edgemnist} with {', '.join(result.extras)}",
        "wheels": wheels,
        "signed": "yes" if result.signed else "no",
        "identity": result.identity[:12],
    }
    page = table("bundle", "", left=[""])
    for name, value in rows.items():
        page.add_row(name, escape(value))
    return page
