"""The test digits that are still wrong, each with what the model takes it for and how sure it is."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE, Probabilities
from edgemnist.data.interface import Split

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
