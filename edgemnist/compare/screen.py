"""The page of `edgemnist compare`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import (
    closing,
    count,
    host_line,
    kilobytes,
    microseconds,
    percent,
    quality,
    table,
    with_interval,
)
from edgemnist.results.bench import PairResult, subject_key


def compare_page(result: PairResult) -> RenderableType:
    """Draw both sides of a pair, and what they say about each other."""
    page = table("artifact", "runtime", "p50", "p90", "p99", "min", "size", left=["runtime"])
    for one in (result.first, result.second):
        page.add_row(
            subject_key(one.name, one.runtime, one.threads),
            one.runtime,
            f"[bold]{microseconds(one.p50_us)}[/]",
            microseconds(one.p90_us),
            microseconds(one.p99_us),
            microseconds(one.min_us),
            kilobytes(one.bytes),
        )
    sentence = (
        f"{result.first.name} takes {with_interval(result.ratio)} the time of {result.second.name}: {_says(result)}."
    )
    warnings = [
        *result.warnings,
        *(f"{one.name}: {'; '.join(one.warnings)}" for one in (result.first, result.second) if one.warnings),
    ]
    return Group(
        Text(f"In turns, {count(result.rounds, 'round')}, a fresh process for each."),
        page,
        host_line(result.host),
        *quality(warnings),
        closing(sentence, "", passed=result.passed),
    )


def _says(result: PairResult) -> str:
    value = result.ratio
    if value.low <= 1 <= value.high:
        return f"no difference that is larger than the noise of {percent((value.high - value.low) / 2, 1)}"
    return "slower" if value.low > 1 else "faster"
