"""The page of `edgemnist data`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import table
from edgemnist.results.data import DataResult


def data_page(result: DataResult, digits: Sequence[str]) -> RenderableType:
    """Draw counts, ranges and checksums, and a few digits above them."""
    counts = table("class", "train", "test")
    for label in result.labels:
        counts.add_row(label, f"{result.train.per_class[label]:,}", f"{result.test.per_class[label]:,}")
    counts.add_section()
    counts.add_row("all", f"{result.train.images:,}", f"{result.test.images:,}")
    splits = table("split", "images", "pixels", "mean", "SHA-256", left=["SHA-256"])
    for name, split in (("train", result.train), ("test", result.test)):
        splits.add_row(
            name, f"{split.images:,}", f"{split.minimum}-{split.maximum}", f"{split.mean:.1f}", split.sha256[:16]
        )
    lines: list[RenderableType] = [Text("\n".join(digits)), Text(result.data.source, style="bold"), counts, splits]
    if result.sheet:
        lines.append(Text(f"Sheet of digits: {result.sheet}"))
    if result.exported:
        same = result.exported.sha256 == result.data.sha256
        made = "from these images" if same else f"from others: {result.exported.source}"
        lines.append(Text(f"What is in {result.exports} was made {made}."))
    return Group(*lines)
