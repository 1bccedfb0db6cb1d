"""Figures without a display, as PNG files that are the same for the same contents."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE, Labels, Probabilities
from edgemnist.data.dataset import Split
from edgemnist.figures import confusion_counts, draw_curves, new_figure, png
from edgemnist.results.train import TrainResult

if TYPE_CHECKING:
    from edgemnist.train.model import Weights


def curves_png(result: TrainResult) -> bytes:
    """Return a PNG of loss and accuracy while training, with the accuracies of the finished model as lines."""
    layers = "-".join(map(str, [*result.hidden, len(result.labels)]))
    figure = new_figure(9, 3.6)
    figure.suptitle(f"{result.recipe}, 784-{layers}, seed {result.seed}")
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
"""Of red, and as many of blue: as many as an eye tells apart, and a palette makes the file a fifth as large."""
PERCENTILE: Final = 99.5
"""Of a unit's weights, in absolute value, at which its colours end."""


def filters_png(weights: Weights) -> bytes:
    """Return a PNG with a tile for each hidden unit of the first layer, the one with the largest weights first.

    Red pixels speak for the unit, blue ones against it; each tile has a scale of its own.
    """
    from PIL import Image

    kernel = weights[0]
    norms = np.linalg.norm(kernel, axis=0)
    units = np.argsort(-norms, kind="stable")[:FILTER_MOST]
    columns = min(FILTER_COLUMNS, len(units))
    side, rows = IMAGE_SIDE + FILTER_GAP, math.ceil(len(units) / columns)
    sheet = np.full((rows * side + FILTER_GAP, columns * side + FILTER_GAP), 2 * SHADES + 1, np.uint8)
    for place, unit in enumerate(units):
        row, column = divmod(place, columns)
        top, left = FILTER_GAP + row * side, FILTER_GAP + column * side
        sheet[top : top + IMAGE_SIDE, left : left + IMAGE_SIDE] = _shades(kernel[:, unit])
    picture = Image.fromarray(sheet)
    picture.putpalette(_palette())
    stream = io.BytesIO()
    # Enlarged without new colours, which the palette does not have.
    picture.resize((picture.width * FILTER_SCALE, picture.height * FILTER_SCALE), Image.Resampling.NEAREST).save(
        stream, format="PNG", optimize=True
    )
    return stream.getvalue()


def _shades(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return uint8 [28, 28]: places in the palette, 0 for the most negative weight."""
    end = max(float(np.percentile(np.abs(weights), PERCENTILE)), 1e-12)
    strength = np.clip(weights.reshape(IMAGE_SIDE, IMAGE_SIDE) / end, -1, 1)
    return np.asarray(np.rint(SHADES * (strength + 1)), np.uint8)


def _palette() -> list[int]:
    """Return red, green and blue of each shade, blue over white to red, and of the ground."""
    strength = np.arange(-SHADES, SHADES + 1) / SHADES
    red, blue = 1 - np.maximum(-strength, 0), 1 - np.maximum(strength, 0)
    shades = np.rint(255 * np.stack([red, np.minimum(red, blue), blue], axis=-1)).astype(int)
    return [*shades.ravel().tolist(), *FILTER_GROUND]


MOST: Final = 120
"""Digits drawn: of more, the most confident mistakes are shown."""
SCALE: Final = 3
TILE: Final = IMAGE_SIDE * SCALE
COLUMNS: Final = 10
GAP: Final = 16
MARGIN: Final = 24
HEADING: Final = 40
CAPTION: Final = 44
ROW: Final = TILE + CAPTION + GAP
ANSWER_SIZE: Final = 15
DETAIL_SIZE: Final = 12
HEADING_SIZE: Final = 17

GROUND: Final = (32, 36, 44)
TEXT: Final = (240, 242, 245)
DETAIL: Final = (158, 168, 184)
LONGEST_LABEL: Final = 6


def mistakes_png(test: Split, probabilities: Probabilities, labels: Sequence[str]) -> bytes:
    """Return a PNG of the images that are answered wrongly, the most confident mistakes first.

    `probabilities` are float32 [N, C]. Below each image stand its true class » the answer, the probability of either,
    and its index.
    """
    from PIL import Image, ImageDraw, ImageFont

    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != test.labels)
    wrong = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")]
    shown = wrong[:MOST]
    rows = math.ceil(len(shown) / COLUMNS)
    sheet = Image.new("RGB", (2 * MARGIN + COLUMNS * (TILE + GAP) - GAP, 2 * MARGIN + HEADING + rows * ROW), GROUND)
    draw = ImageDraw.Draw(sheet)
    answer_font, detail_font = ImageFont.load_default(ANSWER_SIZE), ImageFont.load_default(DETAIL_SIZE)
    heading = f"{len(wrong):,} of {len(test):,} test images are wrong: true class » answer, with their probabilities"
    if len(wrong) > len(shown):
        heading += f" (the {len(shown)} most confident)"
    draw.text((MARGIN, MARGIN), heading, fill=TEXT, font=ImageFont.load_default(HEADING_SIZE))
    for place, index in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        left, top = MARGIN + column * (TILE + GAP), MARGIN + HEADING + row * ROW
        tile = Image.fromarray(test.images[index]).resize((TILE, TILE), Image.Resampling.NEAREST)
        sheet.paste(tile, (left, top))
        truth, answer = int(test.labels[index]), int(answers[index])
        middle, base = left + TILE // 2, top + TILE + ANSWER_SIZE
        words = f"{_short(labels[truth])} » {_short(labels[answer])}"
        draw.text((middle, base), words, fill=TEXT, font=answer_font, anchor="ms")
        shares = f"{probabilities[index, truth]:.2f} » {probabilities[index, answer]:.2f}"
        draw.text((middle, base + DETAIL_SIZE + 2), shares, fill=DETAIL, font=detail_font, anchor="ms")
        draw.text((middle, base + 2 * DETAIL_SIZE + 3), f"#{index}", fill=DETAIL, font=detail_font, anchor="ms")
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
