"""`edgemnist learn`: before and after, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.text import Text

from edgemnist.console.tables import table
from edgemnist.formatting import percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgemnist.results.samples import LearnResult, Paired
    from edgemnist.results.verify import Interval

SHOWN: Final = 10
"""Most contradictions to show."""


def learn_page(result: LearnResult) -> RenderableType:
    """Draw how the present model and the new one compare."""
    page = table("", "images", "before", "after", "fixed", "broken", "p")
    page.add_row("samples, not learnt from", *_cells(result.held_out))
    page.add_row("golden pack", *_cells(result.golden))
    learnt = sum(result.per_class.values())
    left_out = [f"{result.not_a_digit} that are no digit"] if result.not_a_digit else []
    left_out += [f"{result.disputed} whose labels differ"] if result.disputed else []
    lines: list[RenderableType] = [page]
    said = f"Learnt from {learnt:,} samples in {result.seconds:.0f} s"
    lines.append(Text(f"{said}; left out: {', '.join(left_out)}." if left_out else f"{said}."))
    if result.forgotten is not None:
        lines.append(Text(f"Forgotten: {result.forgotten:,} labels."))
    if result.contradictions:
        count = len(result.contradictions)
        words = "1 label contradicts its" if count == 1 else f"{count} labels contradict their"
        lines.append(Text(f"{words} neighbours. Look again in the review:"))
        found = table("sample", "label", "neighbours", "writer", prose=["writer"])
        for one in result.contradictions[:SHOWN]:
            found.add_row(str(one.sample), one.label, one.neighbours, ", ".join(one.writers))
        lines.append(found)
    if len(result.per_writer) > 1 or result.contradictions:
        lines.append(_writers(result))
    lines += [Text(f"Gate missed. {reason}") for reason in result.reasons]
    if result.out is not None:
        out = shlex.quote(result.out)
        loss = f" int8 loses {result.int8_loss * 100:.2f} points." if result.int8_loss is not None else ""
        lines.append(Text(f"Written: {out}.{loss} Next: edgemnist verify --exports {out}"))
    else:
        lines.append(Text(f"{result.exports} stays as it is."))
    return Group(*lines)


def _writers(result: LearnResult) -> RenderableType:
    """Draw how many labels each writer gave, and how many of them look wrong, the most first."""
    wrong = Counter(writer for one in result.contradictions for writer in one.writers)
    page = table("writer", "labels", "contradicting", prose=["writer"])
    for writer, labels in Counter(result.per_writer).most_common(SHOWN):
        page.add_row(writer, f"{labels:,}", f"{wrong[writer]:,}")
    if (more := len(result.per_writer) - SHOWN) > 0:
        page.add_row(f"{more:,} more", "", "")
    return page


def _cells(one: Paired) -> list[str]:
    return [
        f"{one.images:,}",
        _share(one.before, one.images, one.before_interval),
        _share(one.after, one.images, one.after_interval),
        str(one.fixed),
        str(one.broken),
        "" if one.p_value is None else f"{one.p_value:.2g}",
    ]


def _share(right: int, images: int, interval: Interval | None) -> str:
    within = "" if interval is None else f" ({interval.low * 100:.1f}–{interval.high * 100:.1f})"
    return f"{percent(right / images)}{within}"
