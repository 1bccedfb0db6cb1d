"""Digits as pictures within the page, and who is taken for whom."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images
from edgemnist.golden import GoldenPack


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
class Cell:
    """One field of a confusion matrix."""

    count: int
    shade: int
    """How strong its colour is, 0 to 100."""
    correct: bool


def confusion(golden: GoldenPack) -> list[list[Cell]]:
    """Return the confusion matrix of the Keras model: a row for each true class, a column for each answer.

    Mistakes are shaded by their number, up to the most frequent one; the right answers, which are a hundred times as
    many, have a colour of their own.
    """
    classes = len(golden.class_labels)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (golden.labels, golden.probabilities.argmax(axis=1)), 1)
    most = max(1, int((counts - np.diag(np.diag(counts))).max()))
    return [
        [
            Cell(
                count=int(count),
                shade=0 if row == column else round(100 * int(count) / most),
                correct=row == column,
            )
            for column, count in enumerate(line)
        ]
        for row, line in enumerate(counts)
    ]
