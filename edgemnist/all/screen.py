"""The page of `edgemnist all`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import closing, kilobytes, microseconds, percent, ratio, table, verdict
from edgemnist.exports.manifest import command
from edgemnist.results.pipeline import PipelineResult


def pipeline_page(result: PipelineResult, exports: Path) -> RenderableType:
    """Draw the one table that the whole run was for, and what to ship."""
    page = table("artifact", "size", "accuracy", "flips", "p50", "vs Keras", "gate", left=["gate"])
    for row in result.rows:
        chosen = row.name == result.recommended
        page.add_row(
            f"[bold green]{row.name}[/]" if chosen else row.name,
            kilobytes(row.bytes),
            percent(row.accuracy),
            str(row.flips),
            microseconds(row.p50_us),
            ratio(row.speedup),
            verdict(passed=row.passed),
        )
    keras = next((one for one in result.bench.results if one.runtime == "keras"), None)
    if keras is not None:
        page.add_section()
        page.add_row(
            "Keras model(x)",
            kilobytes(keras.bytes),
            percent(result.verify.reference_accuracy),
            "",
            microseconds(keras.p50_us),
            ratio(1.0),
            "",
        )
    data = result.train.data
    heading = f"{data.source}: {data.train:,} images to train, {data.test:,} to test."
    passed = result.recommended is not None
    last = closing(f"Ship {result.recommended or 'nothing'}.", command("report", exports), passed=passed)
    return Group(Text(heading), page, Text(result.reason), last)
