"""Who is taken for whom: the confusion matrix of the test images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgemnist.arrays import Labels
from edgemnist.train.pictures.figure import new_figure, png

DARK = 0.6
"""Share of the most frequent mistake from which on a number is written in white."""


def confusion_png(truth: Labels, answers: Labels, labels: Sequence[str]) -> bytes:
    """Return a PNG with a row for each true class and a column for each answer; both are int64 [N].

    Mistakes are shaded by their number. The right answers, a hundred times as many, stay unshaded.
    """
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (truth, answers), 1)
    mistakes = counts - np.diag(np.diag(counts))
    most = max(1, int(mistakes.max()))
    side = max(4.0, 0.5 * len(labels) + 1.2)
    figure = new_figure(side, side)
    axes = figure.subplots()
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=most)
    for row, column in zip(*np.nonzero(counts), strict=True):
        strong = mistakes[row, column] > DARK * most
        weight = "bold" if row == column else "normal"
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            fontweight=weight,
            color="white" if strong else "black",
        )
    wrong = int(mistakes.sum())
    axes.set(xlabel="answer", ylabel="true class", title=f"{wrong:,} of {len(truth):,} wrong")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    return png(figure)
