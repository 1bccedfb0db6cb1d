"""What Matplotlib draws in more than one place: figures without a display, curves of a training, confusions."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Labels
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.results.pipeline import TrainResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
FEW_EPOCHS = 10
"""Below this each epoch is marked by a dot."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    # The object interface draws without a display, and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """Return a figure as the contents of a PNG file: the same figure gives the same bytes."""
    stream = io.BytesIO()
    # Without the version of matplotlib in it.
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def draw_curves(
    figure: Figure,
    result: TrainResult,
    *,
    above: bool = False,
    colors: tuple[str, str, str] = ("tab:blue", "tab:orange", "tab:green"),
) -> None:
    """Draw loss and accuracy of a training over its epochs, side by side or one above the other.

    Lines show the accuracies of the finished model. `colors` are those of the training, of the evaluation images, and
    of the finished model on the training images.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    training, evaluation, finished = colors
    epochs = [epoch.epoch for epoch in result.history]
    marker = "o" if len(epochs) < FEW_EPOCHS else ""
    loss, accuracy = figure.subplots(2, 1, sharex=True) if above else figure.subplots(1, 2)
    loss.plot(epochs, [epoch.loss for epoch in result.history], color=training, marker=marker, markersize=3)
    loss.set(ylabel="loss while training", yscale="log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss.yaxis.set_major_formatter("{x:g}")
    loss.yaxis.set_minor_formatter(NullFormatter())
    shares = [100 * epoch.accuracy for epoch in result.history]
    accuracy.plot(epochs, shares, color=training, marker=marker, markersize=3, label="while training")
    for share, name, color in (
        (result.train_accuracy, "training", finished),
        (result.test_accuracy, "evaluation", evaluation),
    ):
        label = f"finished, {name} {noun_of(result.input)}s: {100 * share:.2f} %"
        accuracy.axhline(100 * share, color=color, linestyle="--", linewidth=1, label=label)
    accuracy.set(xlabel="epoch", ylabel="accuracy (%)")
    accuracy.legend(loc="lower right", fontsize=8.5)
    for axes in (loss, accuracy):
        axes.grid(axis="y", alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not above:
        loss.set(xlabel="epoch")


def confusion_counts(truth: Labels, answers: Labels, classes: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return how many images of each class got each answer, int64 [C, C], and the number of the most frequent mistake.

    `truth` and `answers` are int64 [N]. The latter is at least 1, to shade the mistakes by; the right answers are a
    hundred times as many.
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, answers), 1)
    return counts, max(1, int((counts - np.diag(np.diag(counts))).max()))
