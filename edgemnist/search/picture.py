"""The picture of networks' costs and accuracy: accuracy against bytes and against latency, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgemnist.figures import new_figure, png
from edgemnist.search.networks import undominated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgemnist.results.pipeline import SearchResult

LEAST_ERROR: Final = 1e-5
"""An axis of errors that grow by their logarithm has no 0."""
SHORT_LABEL: Final = 8
"""Characters."""
MICROSECOND: Final = "one image, p50 (µs)"
HALF: Final = 0.5
"""Half of the width. A long name points to the middle: it ends at dots on the right, and begins at the others."""
LINE_POINTS: Final = 10.0
"""Distance from one name to the next above it."""


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One network."""

    bytes: int
    p50_us: float | None
    """None keeps it out of the right half."""
    accuracy: float
    label: str = ""
    smallest: bool = False
    """Whether it is joined in the left half."""
    fastest: bool = False
    """Whether it is joined in the right half."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Networks that are drawn alike."""

    dots: Sequence[Dot]
    color: str
    marker: str = "o"
    joined: bool = True
    """Whether the dots that none is better than are joined by a line."""


def trade_off_png(title: str, series: Mapping[str, Series], *, of_bytes: str) -> bytes:
    """Return a PNG of series by their names; `of_bytes` says what the bytes are of."""
    figure = new_figure(10, 4.4)
    figure.suptitle(title)
    by_bytes, by_latency = figure.subplots(1, 2, sharey=True)
    lines = [dot for one in series.values() if one.joined for dot in one.dots]
    for axes, cost, best in (
        (by_bytes, lambda dot: dot.bytes / 1000, lambda dot: dot.smallest),
        (by_latency, lambda dot: dot.p50_us, lambda dot: dot.fastest),
    ):
        _draw(axes, series, lines, cost, best)
    by_bytes.set(xlabel=f"{of_bytes} (KB)", ylabel="accuracy (%)")
    by_latency.set(xlabel=MICROSECOND)
    by_bytes.legend(loc="lower right", fontsize=8.5)
    return png(figure)


def _draw(
    axes: Axes,
    series: Mapping[str, Series],
    lines: Sequence[Dot],
    cost: Callable[[Dot], float | None],
    is_best: Callable[[Dot], bool],
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    best = sorted((cost(dot) or 0, _error(dot)) for dot in lines if is_best(dot) and cost(dot) is not None)
    if best:
        axes.plot(*zip(*best, strict=True), color="0.6", linewidth=1.2, zorder=2)
    for name, one in series.items():
        shown = [dot for dot in one.dots if cost(dot) is not None]
        axes.scatter(
            [cost(dot) or 0 for dot in shown],
            [_error(dot) for dot in shown],
            color=one.color,
            marker=one.marker,
            s=28 if one.joined else 12,
            label=name,
            zorder=3 if one.joined else 1,
        )
    # An error of 1 % is as far from 2 % as 0.1 % is from 0.2 %.
    axes.set(xscale="log", yscale="log")
    axes.yaxis.set_inverted(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda error, _: f"{100 * (1 - error):.6g}")
    axes.margins(x=0.12, y=0.18)
    axes.grid(alpha=0.3)
    for one in series.values():
        _name(axes, sorted((cost(dot) or 0, _error(dot), dot.label) for dot in one.dots if dot.label and cost(dot)))


def _name(axes: Axes, named: Sequence[tuple[float, float, str]]) -> None:
    """Write the names of dots, (cost, error, name), each a line above the one before where they are long."""
    long = [place for place in named if len(place[2]) > SHORT_LABEL]
    for cost, error, name in named:
        side, apart = "left", (5.0, -9.0)
        if (cost, error, name) in long:
            side = "right" if axes.transLimits.transform(axes.transScale.transform((cost, error)))[0] > HALF else "left"
            apart = (0.0, 5.0 + LINE_POINTS * long.index((cost, error, name)))
        axes.annotate(name, (cost, error), xytext=apart, textcoords="offset points", ha=side, fontsize=8, color="0.25")


def _error(dot: Dot) -> float:
    return max(LEAST_ERROR, 1 - dot.accuracy)


def search_png(result: SearchResult) -> bytes:
    """Return a PNG of what a search tried, in grey, and of the best networks."""
    rows = [row for row in result.rows if row.passed] or result.rows
    accuracies = [row.accuracy for row in rows]
    smallest = undominated([row.bytes for row in rows], accuracies)
    fastest = undominated([row.p50_us for row in rows], accuracies)
    best = [
        Dot(
            bytes=row.bytes,
            p50_us=row.p50_us,
            accuracy=row.accuracy,
            label=row.network,
            smallest=is_smallest,
            fastest=is_fastest,
        )
        for row, is_smallest, is_fastest in zip(rows, smallest, fastest, strict=True)
    ]
    tried = [Dot(bytes=one.bytes, p50_us=one.p50_us, accuracy=one.accuracy) for one in result.trials]
    series = {
        "tried, on the selection images": Series(dots=tried, color="0.75", joined=False),
        "best, on the test images": Series(dots=best, color="tab:blue"),
    }
    title = f"recipe {result.recipe}, seed {result.seed}, {result.images:,} test images"
    return trade_off_png(title, series, of_bytes="weights")
