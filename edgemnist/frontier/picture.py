"""The picture of a frontier: accuracy against bytes and against p50."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgemnist.figures import new_figure, png
from edgemnist.results.pipeline import FrontierResult, FrontierRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"tflite-int8": "tab:blue", "tflite-int4": "tab:orange"}
MARKERS = {"tflite-int8": "o", "tflite-int4": "s"}


def frontier_png(result: FrontierResult) -> bytes:
    """Return a PNG with both costs side by side; what none is better than is joined by a line."""
    figure = new_figure(10, 4.4)
    figure.suptitle(f"recipe {result.recipe}, seed {result.seed}, {result.images:,} test images")
    by_bytes, by_latency = figure.subplots(1, 2, sharey=True)
    _draw(by_bytes, result.rows, lambda row: row.bytes / 1000, lambda row: row.smallest)
    by_bytes.set(xlabel="file (KB)", ylabel="accuracy")
    _draw(by_latency, result.rows, lambda row: row.p50_us, lambda row: row.fastest)
    by_latency.set(xlabel="one image, p50 (µs)")
    by_bytes.yaxis.set_major_formatter(lambda share, _: f"{share:.2%}")
    by_bytes.legend(loc="lower right")
    return png(figure)


def _draw(
    axes: Axes,
    rows: list[FrontierRow],
    cost: Callable[[FrontierRow], float],
    is_best: Callable[[FrontierRow], bool],
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    best = sorted(filter(is_best, rows), key=cost)
    axes.plot([cost(row) for row in best], [row.accuracy for row in best], color="0.6", linewidth=1.2, zorder=1)
    for name, color in COLORS.items():
        chosen = [row for row in rows if row.name == name]
        axes.scatter(
            [cost(row) for row in chosen],
            [row.accuracy for row in chosen],
            color=color,
            marker=MARKERS[name],
            label=name,
            zorder=2,
        )
    for row in rows:
        units = "-".join(map(str, row.hidden))
        axes.annotate(
            units, (cost(row), row.accuracy), xytext=(5, -9), textcoords="offset points", fontsize=8, color="0.25"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12, y=0.12)
    axes.grid(alpha=0.3)
