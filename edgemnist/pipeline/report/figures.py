"""The drawings of the report as parts of a page: its colors, its fonts, readable by a screen reader."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.formatting import count, microseconds, percent
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.results.bench import Latency
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.results.verify import ArtifactParity
from edgemnist.ground.sheet import as_pictures, encoded
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.pipeline.bench.figures import BINS_AN_OCTAVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Matplotlib knows no CSS variables, so it draws in colors that nobody would choose, and they are exchanged afterwards.
_NAMES: Final = ("ink", "muted", "grid", "good", "bad", "series-1", "series-2", "series-3")
VARIABLES: Final = {"#" + f"{number:02}" * 3: f"--{name}" for number, name in enumerate(_NAMES, start=1)}
"""The variable of the style sheet that takes the place of each color."""
INK, MUTED, GRID, GOOD, BAD, *_SERIES = VARIABLES
SERIES: Final = (_SERIES[0], _SERIES[1], _SERIES[2])

STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgemnist",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
"""Settings of Matplotlib for all drawings."""


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an <svg> element; `name` makes its ids unique on the page, `description` is its text."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return themed(stream.getvalue(), name, description)


def themed(svg: str, name: str, description: str) -> str:
    """Turn a file of Matplotlib's into a part of a page."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", element, flags=re.DOTALL)
    # One page holds several drawings, which all call their parts axes_1 and so on.
    element = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", element)
    for color, variable in VARIABLES.items():
        element = element.replace(color, f"var({variable})")
    # The page's own font, whatever Matplotlib has measured with.
    element = re.sub(r"font-family:[^;\"]*;?", "", element)
    element = re.sub(r"font: ([0-9.]+px)[^;\"]*", r"font-size: \1", element)
    head, rest = element.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    described = escape(description)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box[0] if box else ""} role="img" aria-label="{described}">{rest}'


def pictures(inputs: Images, indices: list[int]) -> dict[int, str]:
    """Return some inputs, [N, ...], as PNG files within URIs, by index: pictures as they are, numbers as curves.

    An index beyond the last has none.
    """
    from PIL import Image

    shown = [index for index in sorted(set(indices)) if 0 <= index < len(inputs)]
    drawn = as_pictures(inputs[shown], inputs) if shown else ()
    files = {index: encoded(Image.fromarray(image)) for index, image in zip(shown, drawn, strict=True)}
    return {index: f"data:image/png;base64,{base64.b64encode(file).decode()}" for index, file in files.items()}


MOST_CLASSES: Final = 20
"""Classes of a confusion matrix that can still be read."""
MISTAKES: Final = 10
"""Most frequent mistakes that take its place."""


def confusion(golden: GoldenPack) -> tuple[list[list[int]], int] | None:
    """Return the confusion matrix of the reference, and how often its most frequent mistake was made.

    The matrix has a row for each true class and a column for each answer. None without labels, for numbers, and for
    more than `MOST_CLASSES`.
    """
    classes = len(golden.class_labels)
    if golden.truth is None or golden.task.numbers or classes > MOST_CLASSES:
        return None
    counts = _answers_of_each_class(golden.truth, golden.probabilities, classes)
    # The mistakes are shaded by the most frequent one; the right answers are a hundred times as many.
    return counts.tolist(), max(1, int((counts - np.diag(np.diag(counts))).max()))


def mistakes(golden: GoldenPack) -> list[tuple[str, str, int]]:
    """Return the most frequent mistakes of many classes: what it is, what it is taken for, and how often."""
    classes = len(golden.class_labels)
    if golden.truth is None or golden.task.numbers or classes <= MOST_CLASSES:
        return []
    counts = _answers_of_each_class(golden.truth, golden.probabilities, classes)
    np.fill_diagonal(counts, 0)
    found = np.argsort(-counts, axis=None, kind="stable")[:MISTAKES]
    pairs = [(int(place) // classes, int(place) % classes) for place in found if counts.flat[place]]
    return [(golden.class_labels[true], golden.class_labels[said], int(counts[true, said])) for true, said in pairs]


def _answers_of_each_class(
    truth: Labels, probabilities: npt.NDArray[np.float32], classes: int
) -> npt.NDArray[np.int64]:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    return counts


WIDTH: Final = 5.2
"""Of every drawing, in inches: on a phone it is shown at about this size, so that its letters can be read."""
_FAR: Final = (16, 100)
"""Ratios of the ends of an axis from which on 1 and 3 are written, and only the powers of ten: else 1, 2 and 5."""
_CLOSE: Final = 4
"""Ratio of the ends of an axis below which 1, 2 and 5 would write one number or none, or ever longer ones."""
LABEL_GAP: Final = 0.062
"""Height of a line of text, as a share of that of the trade-off's axes."""
LARGEST_DOT: Final = 400.0
LEAST_DOT: Final = 20.0
"""Areas in square points: of the largest file's dot, to which the others are in proportion, and of any."""


def trade_off_svg(models: Sequence[tuple[ArtifactParity, Latency]], shipped: str | None, noun: str) -> str:
    """Draw accuracy against latency, with the size of each file as the size of its dot."""
    with _figure(3.4) as figure:
        _draw_trade_off(figure.subplots(), models, shipped, noun)
        words = ", ".join(
            f"{row.name} {_p50(one)} {row.merit_words if row.accuracy is None else percent(row.accuracy)}"
            for row, one in models
        )
        return inline_svg(figure, "trade-off", f"{_merit_label(models)} against latency: {words}")


def _merit_label(models: Sequence[tuple[ArtifactParity, Latency]]) -> str:
    if all(row.accuracy is not None for row, _ in models):
        return "accuracy (%)"
    is_values = any(row.values is not None for row, _ in models)
    return "off on average (% of spread, negative)" if is_values else "labels unchanged (%)"


def _draw_trade_off(
    axes: Axes, models: Sequence[tuple[ArtifactParity, Latency]], shipped: str | None, noun: str
) -> None:
    latencies = np.array([one.p50_us for _, one in models])
    accuracies = 100 * np.array([row.merit for row, _ in models])
    largest = max(one.bytes for _, one in models)
    sizes = [max(LEAST_DOT, LARGEST_DOT * one.bytes / largest) for _, one in models]
    colors = [color_of(row.name) for row, _ in models]
    axes.scatter(latencies, accuracies, s=sizes, c=colors, alpha=0.75, linewidths=0, zorder=3)
    axes.set(xscale="log", xlabel=f"p50 of one {noun}", ylabel=_merit_label(models))
    axes.margins(x=0.12, y=0.16)
    _microsecond_axis(axes)
    axes.ticklabel_format(axis="y", useOffset=False)
    low, high = axes.get_ylim()
    # Nothing is more than 100 % accurate; a dot at the top keeps its upper half.
    high = min(high, 100 + 0.05 * (100 - low))
    axes.set_ylim(low, high)
    # Of dots at one height the left one has the upper label, so that the lines do not cross.
    placed = sorted(zip(models, latencies, accuracies, strict=True), key=lambda one: (one[2], -one[1]))
    heights = apart([(value - low) / (high - low) for _, _, value in placed], LABEL_GAP)
    for ((row, one), latency, accuracy), height in zip(placed, heights, strict=True):
        chosen = row.name == shipped
        axes.annotate(
            f"{row.name}, {one.bytes / 1000:,.0f} KB",
            (latency, accuracy),
            xytext=(1.02, height),
            textcoords="axes fraction",
            va="center",
            color=(GOOD if chosen else INK) if row.passed else BAD,
            weight="bold" if chosen else "normal",
            # To the left end of the label, and not through it.
            arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "shrinkA": 2}
            | {"color": GOOD if chosen else GRID, "linewidth": 1.2 if chosen else 0.6},
        )


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Return places for labels near `heights`, in the same order, no two closer than `gap`.

    Each is pushed up by the one below it, the whole is moved so that its centre stays where it was, and what is then
    above 1, the top of the axes, is pushed down again.
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed: dict[int, float] = {}
    lowest = -np.inf
    for index in order:
        placed[index] = max(heights[index], lowest)
        lowest = placed[index] + gap
    shift = float(np.mean(list(heights)) - np.mean(list(placed.values()))) if placed else 0.0
    highest = 1.0
    for index in reversed(order):
        placed[index] = min(placed[index] + shift, highest)
        highest = placed[index] - gap
    return [placed[index] for index in range(len(heights))]


def distributions_svg(latencies: Sequence[Latency], noun: str) -> str:
    """Draw how the calls of each artifact are distributed, fastest first, on one logarithmic axis."""
    shown = sorted((one for one in latencies if one.histogram is not None), key=lambda one: one.p50_us)
    if not shown:
        return ""
    with _figure(0.8 + 0.42 * len(shown)) as figure:
        axes = figure.subplots()
        for row, one in enumerate(shown):
            _draw_distribution(axes, -row, one)
        names = [one.name if one.name != "keras" else one.runtime for one in shown]
        places = [-row + 0.3 for row in range(len(shown))]
        axes.set_yticks(places, [f"{name}\n{_p50(one)}" for name, one in zip(names, shown, strict=True)])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set(xscale="log", xlabel=f"one {noun} (log); line: p50, tick: p99")
        axes.spines["left"].set_visible(False)
        axes.set_ylim(-len(shown) + 0.4, 0.85)
        _microsecond_axis(axes)
        words = ", ".join(f"{name} p50 {_p50(one)}" for name, one in zip(names, shown, strict=True))
        return inline_svg(figure, "distributions", f"Distribution of latencies: {words}")


def _draw_distribution(axes: Axes, row: int, one: Latency) -> None:
    if one.histogram is None:
        return
    color = color_of(one.name)
    edges = np.array(one.histogram.edges_us)
    # A square root shows a tail of one call in ten thousand that would be thinner than a line.
    heights = np.sqrt(np.array(one.histogram.counts) / max(one.histogram.counts)) * 0.72
    axes.bar(edges, heights, width=edges * (2 ** (1 / BINS_AN_OCTAVE) - 1), bottom=row, align="edge", color=color)
    axes.plot([one.p50_us] * 2, [row - 0.06, row + 0.78], color=INK, linewidth=1.4)
    if one.p99_us is not None:
        axes.plot([one.p99_us] * 2, [row - 0.02, row + 0.3], color=INK, linewidth=1.4)


FEW_EPOCHS: Final = 10
"""Below this each epoch is marked by a dot."""


def curves_svg(training: TrainResult) -> str:
    """Draw loss and accuracy over the epochs, and as lines the accuracies of the finished model."""
    with _figure(3.9) as figure:
        _draw_curves(figure, training)
        first, last = training.history[0], training.history[-1]
        words = f"{count(len(training.history), 'epoch')}, loss {first.loss:.3f} to {last.loss:.3f}"
        return inline_svg(figure, "curves", f"Training: {words}, test accuracy {percent(training.test_accuracy)}")


def _draw_curves(figure: Figure, result: TrainResult) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    epochs = [epoch.epoch for epoch in result.history]
    marker = "o" if len(epochs) < FEW_EPOCHS else ""
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    loss.plot(epochs, [epoch.loss for epoch in result.history], color=SERIES[0], marker=marker, markersize=3)
    loss.set(ylabel="loss while training", yscale="log")
    low, high = loss.get_ylim()
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _FAR[-1] * low else (1,)))
    loss.yaxis.set_major_formatter("{x:g}")
    loss.yaxis.set_minor_formatter(NullFormatter())
    shares = [100 * epoch.accuracy for epoch in result.history]
    accuracy.plot(epochs, shares, color=SERIES[0], marker=marker, markersize=3, label="while training")
    for share, name, color in (
        (result.train_accuracy, "training", SERIES[2]),
        (result.test_accuracy, "evaluation", SERIES[1]),
    ):
        label = f"finished, {name} {noun_of(result.input)}s: {100 * share:.2f} %"
        accuracy.axhline(100 * share, color=color, linestyle="--", linewidth=1, label=label)
    accuracy.set(xlabel="epoch", ylabel="accuracy (%)")
    accuracy.legend(loc="lower right", fontsize=8.5)
    for axes in (loss, accuracy):
        axes.grid(axis="y", alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _p50(one: Latency) -> str:
    return microseconds(one.p50_us, tainted=one.disturbed)


def color_of(name: str) -> str:
    """Return the color of a format: the same in every drawing."""
    return {"tflite": SERIES[0], "onnx": SERIES[1]}.get(name.partition("-")[0], SERIES[2])


def _microsecond_axis(axes: Axes) -> None:
    """Write the numbers of a logarithmic axis as latencies, some of them: those that are read at a glance."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axes.get_xlim()
    subs = ((1, 2, 5), (1, 3), (1,))[sum(high / low >= ratio for ratio in _FAR)]
    # Of close latencies the numbers are long.
    close = high / low < _CLOSE
    axes.xaxis.set_major_locator(MaxNLocator(4) if close else LogLocator(subs=subs, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _short(value: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} µs"


@contextmanager
def _figure(height: float) -> Iterator[Figure]:
    """Yield an empty figure in the report's style, without a display and without pyplot's global state."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        yield Figure(figsize=(WIDTH, height), layout="constrained")
