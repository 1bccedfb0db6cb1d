"""Matplotlib's drawings as parts of a page: its colours, its fonts, readable by a screen reader."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images
from edgemnist.exports.golden import GoldenPack
from edgemnist.figures import confusion_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Matplotlib knows no CSS variables, so it draws in colours that nobody would choose, and they are exchanged afterwards.
INK: Final = "#010101"
MUTED: Final = "#020202"
GRID: Final = "#030303"
SURFACE: Final = "#040404"
GOOD: Final = "#050505"
BAD: Final = "#060606"
SERIES: Final[tuple[str, str, str]] = ("#070707", "#080808", "#090909")
VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    SURFACE: "--surface",
    GOOD: "--good",
    BAD: "--bad",
    **{color: f"--series-{number}" for number, color in enumerate(SERIES, start=1)},
}
"""The variable of the style sheet that takes the place of each colour."""

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
    described = _escape(description)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box[0] if box else ""} role="img" aria-label="{described}">{rest}'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Return an image, uint8 [28, 28], as a PNG within a URI."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def pictures(images: Images, indices: list[int]) -> dict[int, str]:
    """Return the pictures of some images, uint8 [N, 28, 28], by index; an index beyond the last has none."""
    return {index: data_uri(images[index]) for index in sorted(set(indices)) if 0 <= index < len(images)}


@dataclass(frozen=True, kw_only=True)
class ConfusionCell:
    """One field of a confusion matrix."""

    count: int
    shade: int
    """How strong its colour is, 0 to 100."""
    correct: bool


def confusion(golden: GoldenPack) -> list[list[ConfusionCell]]:
    """Return the confusion matrix of the Keras model: a row for each true class, a column for each answer.

    Mistakes are shaded by their number, up to the most frequent one; the right answers, which are a hundred times as
    many, have a colour of their own.
    """
    answers = golden.probabilities.argmax(axis=1)
    counts, most = confusion_counts(golden.labels, answers, len(golden.class_labels))
    return [
        [
            ConfusionCell(
                count=int(count),
                shade=0 if row == column else round(100 * int(count) / most),
                correct=row == column,
            )
            for column, count in enumerate(line)
        ]
        for row, line in enumerate(counts)
    ]
