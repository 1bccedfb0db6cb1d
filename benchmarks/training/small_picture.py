"""Draw `docs/images/smallest.png`: how accurate networks of 1 KB to 430 KB are, and what others have published.

    python -m benchmarks.training.small_picture

Our figures are those of `small.json` and `best_accuracy.json`, on MNIST's 10,000 test images: means of several seeds,
whose standard deviation is a vertical line.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Final, NamedTuple

from edgemnist.ground.storage import write_file
from edgemnist.pipeline.search.networks import undominated
from edgemnist.pipeline.train.network import Network

HERE: Final = Path(__file__).parent
PICTURE: Final = HERE.parents[1] / "docs" / "images" / "smallest.png"


class Point(NamedTuple):
    """A network: bytes of its weights, and the test images that it gets right, in percent."""

    bytes: int
    accuracy: float
    deviation: float = 0.0
    """Of several seeds, in points."""


PUBLISHED: Final = {
    "CNN": (
        Point(3_200, 98.92),
        Point(5_360, 99.06),
        Point(7_328, 99.28),
        Point(9_296, 99.44),
        Point(11_264, 99.55),
        Point(13_357, 99.58),
    ),
    "MLP": (Point(1_100, 94.22), Point(12_608, 99.02)),
    "MLP on windows": (Point(8_250, 99.25), Point(9_900, 99.37)),
}
"""By https://github.com/cpldcpu/BitNetMCU: docs/documentation_cnn.md (2025), a single seed each, and for the MLPs on
windows docs/documentation_2026.md, the mean of two. Bytes are its bits / 8, or its rounded kB."""
MARKERS: Final = {"CNN": "o", "MLP": "s", "MLP on windows": "D"}
SMALL: Final = 50_000
"""Bytes from which on there is no room on the right."""
DPI: Final = 200
"""Twice that of a screen."""


def main() -> None:
    """Draw."""
    write_file(PICTURE, drawn(ours(), PUBLISHED))
    print(PICTURE)


def ours() -> dict[str, tuple[Point, ...]]:
    """Return what was reached, by family."""
    found: dict[str, list[Point]] = {"CNN": [], "MLP": []}
    for row in json.loads((HERE / "small.json").read_text())["rows"].values():
        if isinstance(row["reached"], dict):
            family = Network.parse(row["network"]).family.upper()
            found[family].append(_point(row["weight_bytes"], row["reached"]))
    for units, one in json.loads((HERE / "best_accuracy.json").read_text())["sizes"].items():
        found["MLP"].append(_point(Network.mlp(int(units)).weight_bytes(10), one["int8"]))
    return {family: tuple(sorted(points)) for family, points in found.items()}


def _point(weight_bytes: int, reached: dict[str, float | None]) -> Point:
    return Point(weight_bytes, reached["mean"] or 0.0, reached["standard_deviation"] or 0.0)


def drawn(of_ours: dict[str, tuple[Point, ...]], of_others: dict[str, tuple[Point, ...]]) -> bytes:
    """Return a PNG of accuracy against bytes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for whose, points_of, color, size in (
        ("edgemnist", of_ours, "tab:blue", 44),
        ("published", of_others, "tab:red", 26),
    ):
        for family, points in points_of.items():
            axes.scatter(
                [point.bytes / 1000 for point in points],
                [100 - point.accuracy for point in points],
                color=color if whose == "edgemnist" else "white",
                edgecolor=color,
                marker=MARKERS[family],
                s=size,
                label=f"{family}, {whose}",
                zorder=3,
            )
    for points in of_ours.values():
        for point in points:
            ends = (100 - point.accuracy - point.deviation, 100 - point.accuracy + point.deviation)
            axes.plot([point.bytes / 1000] * 2, ends, color="tab:blue", lw=1)
    every = sorted(point for points in of_ours.values() for point in points)
    best = undominated([point.bytes for point in every], [point.accuracy for point in every])
    line = [point for point, is_best in zip(every, best, strict=True) if is_best]
    axes.plot(
        [point.bytes / 1000 for point in line], [100 - point.accuracy for point in line], color="tab:blue", lw=1.2
    )
    for point, is_best in zip(every, best, strict=True):
        axes.annotate(
            f"{point.accuracy:.2f} %",
            (point.bytes / 1000, 100 - point.accuracy),
            xytext=(-7, 2) if is_best else (7, -3) if point.bytes < SMALL else (-8, 0),
            textcoords="offset points",
            ha="left" if not is_best and point.bytes < SMALL else "right",
            va="bottom" if is_best else "top" if point.bytes < SMALL else "center",
            fontsize=9,
            color="tab:blue",
        )
    # An error of 1 % is as far from 2 % as 0.1 % is from 0.2 %.
    axes.set(xscale="log", yscale="log", xlabel="weights and biases (KB)", ylabel="test images of MNIST right (%)")
    axes.yaxis.set_inverted(True)
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500]))
    axes.yaxis.set_major_locator(FixedLocator([5, 2, 1, 0.7, 0.5, 0.4]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda error, _: f"{100 - error:.6g}")
    axes.margins(x=0.13, y=0.1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


if __name__ == "__main__":
    main()
