"""What is drawn in more than one place: figures without a display, and what is confused with what."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


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


def confusion_counts(truth: Labels, answers: Labels, classes: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return how many images of each class got each answer, int64 [C, C], and the number of the most frequent mistake.

    `truth` and `answers` are int64 [N]. The latter is at least 1, to shade the mistakes by; the right answers are a
    hundred times as many.
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, answers), 1)
    return counts, max(1, int((counts - np.diag(np.diag(counts))).max()))
