"""`edgemnist health`: one sentence, what it is based on, and what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Group
from rich.text import Text

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.console.tables import closing, fault_line, table
from edgemnist.formatting import percent
from edgemnist.health.cells import ACCURACY, QUANTITIES, accuracies, evidence_of, quantities
from edgemnist.images.sheet import terminal_rows

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.results.health import HealthReport

LOUD: Final = 5.0
"""Power of ten of evidence at which the alarm is given."""


def health_page(result: HealthReport) -> RenderableType:
    """Draw how well a model does, and what has changed."""
    lines: list[RenderableType] = [_accuracies(result), _quantities(result)]
    if result.lately is None:
        lines.append(Text("Nothing has been answered yet."))
    elif result.first is None:
        lines.append(Text("Its first week is not complete, so only doubt is compared, with the golden pack."))
    if len(result.boards) > 1:
        lines.append(_boards(result))
    lines += [fault_line(one.host, one.host, one.fault) for one in result.boards if one.fault is not None]
    if result.passed:
        lines.append(closing("Nothing has changed beyond chance.", ""))
        return Group(*lines)
    lines.append(closing(f"Changed: {', '.join(result.changed)}.", "edgemnist review", passed=False))
    if result.samples:
        images = np.stack([np.frombuffer(one.image, np.uint8) for one in result.samples])
        lines += [Text(row) for row in terminal_rows(images.reshape(-1, IMAGE_SIDE, IMAGE_SIDE))]
    return Group(*lines)


def _accuracies(result: HealthReport) -> RenderableType:
    page = table(*ACCURACY, prose=["accuracy"])
    for row in accuracies(result):
        page.add_row(*row)
    return page


def _quantities(result: HealthReport) -> RenderableType:
    page = table(*QUANTITIES)
    for one, (*cells, evidence) in zip(result.quantities, quantities(result), strict=True):
        loud = one.evidence is not None and one.evidence >= LOUD
        page.add_row(*cells, Text(evidence, "bold red" if loud else ""))
    return page


def _boards(result: HealthReport) -> RenderableType:
    page = table("board", "images", "estimated", "evidence")
    for one in result.boards:
        if one.fault is None:
            accuracy = "" if one.accuracy is None else percent(one.accuracy)
            page.add_row(one.host, f"{one.images:,}", accuracy, evidence_of(one.evidence))
    return page
