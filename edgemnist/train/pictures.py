"""Figures without a display, as PNG files that are the same for the same contents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Labels, Probabilities
from edgemnist.data.dataset import Split
from edgemnist.figures import confusion_counts, draw_curves, new_figure, png
from edgemnist.images.sheet import DETAIL, MOST, TEXT, Section, Tile, encoded, sheet_png, short
from edgemnist.results.pipeline import TrainResult

if TYPE_CHECKING:
    from edgemnist.train.model import Weights


def curves_png(result: TrainResult) -> bytes:
    """Return a PNG of loss and accuracy while training, with the accuracies of the finished model as lines."""
    figure = new_figure(9, 3.6)
    figure.suptitle(f"{result.recipe}, {result.short_network}, seed {result.seed}")
    draw_curves(figure, result)
    return png(figure)


DARK = 0.6
"""Share of the most frequent mistake from which on a number is written in white."""


def confusion_png(truth: Labels, answers: Labels, labels: Sequence[str]) -> bytes:
    """Return a PNG with a row for each true class and a column for each answer; both are int64 [N].

    Mistakes are shaded by their number. The right answers, a hundred times as many, stay unshaded.
    """
    counts, most = confusion_counts(truth, answers, len(labels))
    mistakes = counts - np.diag(np.diag(counts))
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


FILTER_MOST: Final = 256
"""Units drawn: of more, those with the largest weights."""
FILTER_COLUMNS: Final = 32
FILTER_SCALE: Final = 2
FILTER_GAP: Final = 2
FILTER_GROUND: Final = (24, 24, 24)
SHADES: Final = 31
"""Shades of red, and of blue: as many as an eye tells apart, and a palette makes the file a fifth as large."""
PERCENTILE: Final = 99.5
"""Percentile of a unit's weights, in absolute value, at which its colours end."""


def filters_png(weights: Weights) -> bytes:
    """Return a PNG with a tile for each hidden unit of the first layer, the one with the largest weights first.

    Red pixels speak for the unit, blue ones against it; each tile has a scale of its own.
    """
    from matplotlib import colormaps
    from PIL import Image

    kernel = weights[0].reshape(-1, weights[0].shape[-1])
    across = math.isqrt(len(kernel))
    # Weights on averaged pixels, and those of a 3×3 convolution, are enlarged to the size of an image.
    each = IMAGE_SIDE // across
    norms = np.linalg.norm(kernel, axis=0)
    units = np.argsort(-norms, kind="stable")[:FILTER_MOST]
    columns = min(FILTER_COLUMNS, len(units))
    side, rows = IMAGE_SIDE + FILTER_GAP, math.ceil(len(units) / columns)
    sheet = np.full((rows * side + FILTER_GAP, columns * side + FILTER_GAP), 2 * SHADES + 1, np.uint8)
    for place, unit in enumerate(units):
        row, column = divmod(place, columns)
        top, left = FILTER_GAP + row * side, FILTER_GAP + column * side
        # Places in the palette, 0 for the most negative weight.
        end = max(float(np.percentile(np.abs(kernel[:, unit]), PERCENTILE)), 1e-12)
        strength = np.clip(kernel[:, unit].reshape(across, across) / end, -1, 1)
        tile = np.rint(SHADES * (strength + 1)).repeat(each, axis=0).repeat(each, axis=1)
        sheet[top : top + len(tile), left : left + len(tile)] = tile
    picture = Image.fromarray(sheet)
    shades = colormaps["bwr"].resampled(2 * SHADES + 1)(np.arange(2 * SHADES + 1), bytes=True)[:, :3]
    picture.putpalette([*shades.ravel().tolist(), *FILTER_GROUND])
    # Enlarged without new colors, which the palette does not have.
    size = picture.width * FILTER_SCALE, picture.height * FILTER_SCALE
    return encoded(picture.resize(size, Image.Resampling.NEAREST))


def mistakes_png(test: Split, probabilities: Probabilities, labels: Sequence[str]) -> bytes:
    """Return a PNG of the images with a wrong answer, the most confident mistakes first.

    `probabilities` are float32 [N, C]. Below each image are its true class » the answer, the probability of each, and
    its index.
    """
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != test.labels)
    wrong = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")]
    tiles = [
        Tile(
            image=test.images[index],
            answer=f"{short(labels[test.labels[index]])} » {short(labels[answers[index]])}",
            details=(
                f"{probabilities[index, test.labels[index]]:.2f} » {probabilities[index, answers[index]]:.2f}",
                f"#{index}",
            ),
        )
        for index in wrong[:MOST]
    ]
    shown = f" (the {MOST} most confident)" if len(wrong) > MOST else ""
    heading = f"{len(wrong):,} of {len(test):,} test images wrong{shown}"
    return sheet_png([Section(((heading, TEXT), ("true class » answer, with their probabilities", DETAIL)), tiles)])
