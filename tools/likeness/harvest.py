"""What reading a page comes across, with the truth about it: digits, parts of digits, several in one, and the rest.

The pages are written with training digits; every connected piece of ink, and every part that a cut through it
makes, is compared with what stands there.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.images.grey import to_grey
from edgemnist.digits.images.mnist import fit_digit
from edgemnist.digits.images.paper import is_dark_on_light
from edgemnist.digits.read.find import find_sheet
from edgemnist.digits.read.layout import overlap
from edgemnist.digits.read.piece import Piece
from edgemnist.digits.read.recognize import between, cut_columns
from tools.likeness.page import STYLES, Box, Digits, PageStyle, Truth, compose_page
from tools.likeness.strokes import print_text

IS_DIGIT: Final = 0.8
"""A part that shares at least this much of the union with a digit's box is this digit."""
NO_DIGIT: Final = 0.45
"""A part that shares at most this much with every digit's box is none; between the two nobody can say."""
BAR: Final = 0.05
"""Parts whose ink spreads across less than this share of how it spreads along (variances) are left out: the leg of a 4
is a 1 to anybody who sees no more."""
PER_PIECE: Final = 2
"""Most wrong parts of each piece that are kept."""
WORD_LETTERS: Final = "".join(sorted(set(string.ascii_letters) - set("OoIl")))
"""Letters that printed words are made of; anybody would read the others as a zero or a one."""


@dataclass(frozen=True)
class Harvest:
    """Images as reading makes them."""

    digits: npt.NDArray[np.uint8]
    """uint8 [N, 28, 28]."""
    labels: npt.NDArray[np.int64]
    """int64 [N]: which digit each is."""
    others: npt.NDArray[np.uint8]
    """uint8 [M, 28, 28]: everything that is not a digit."""


def harvest(digits: Digits, pages: int, rng: np.random.Generator) -> Harvest:
    """Write, photograph and take apart small pages."""
    found: list[tuple[int | None, npt.NDArray[np.uint8]]] = []
    for _ in range(pages):
        style = _small_page(rng)
        page = compose_page(digits.sample(style.rows * style.columns, rng), rng, style)
        grey = to_grey(Image.fromarray(page.picture), 2048)
        pieces = find_sheet(grey, dark=is_dark_on_light(grey)).parts[0]
        for piece in (*pieces.candidates, *pieces.fragments):
            found += [(label, fit_digit(part.ink)) for label, part in _judged(piece, page.truths, rng)]
    return Harvest(
        np.stack([image for label, image in found if label is not None]),
        np.array([label for label, _ in found if label is not None]),
        np.stack([image for label, image in found if label is None]),
    )


def harvest_words(fonts: Sequence[str], words: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Print words in each of the fonts, and return the parts that reading makes of them, uint8 [M, 28, 28]."""
    found: list[npt.NDArray[np.uint8]] = []
    for font in fonts:
        for _ in range(words):
            word = "".join(rng.choice(list(WORD_LETTERS), int(rng.integers(3, 8))))
            pieces = find_sheet(print_text(word, font), dark=True).parts[0]
            for piece in (*pieces.candidates, *pieces.fragments):
                found += [fit_digit(part.ink) for label, part in _judged(piece, [], rng) if label is None]
    return np.stack(found) if found else np.empty((0, 28, 28), dtype=np.uint8)


def _small_page(rng: np.random.Generator) -> PageStyle:
    """Return one of the styles with a few digits, large or small."""
    style = STYLES[str(rng.choice(list(STYLES)))]
    side = float(rng.uniform(0.03, 0.09))
    columns = int(0.5 / side)
    return replace(
        style,
        width=900,
        height=700,
        digit=side,
        rows=min(8, int(0.36 / side)),
        columns=columns,
        touching=max(style.touching, float(rng.choice([0, 0.3]))),
    )


def _judged(piece: Piece, truths: Sequence[Truth], rng: np.random.Generator) -> Iterator[tuple[int | None, Piece]]:
    """Return a piece and the parts that cuts make of it, each with its digit, or with None if it is none."""
    near = [truth for truth in truths if overlap(piece.box, truth.box) > 0]
    whole, share = _nearest(piece, near)
    if share >= IS_DIGIT:
        yield whole, piece
    elif share <= NO_DIGIT:
        yield None, piece
    wrong: list[Piece] = []
    seams = [None, *cut_columns(piece), None]
    for start in range(len(seams) - 1):
        for stop in range(start + 1, len(seams)):
            part = between(piece, seams[start], seams[stop])
            if part is None or stop - start == len(seams) - 1:
                continue
            digit, part_share = _nearest(part, near)
            # A part of a single digit lacks something, however little it is.
            if part_share >= IS_DIGIT and share < IS_DIGIT:
                yield digit, part
            elif part_share <= NO_DIGIT and not _is_bar(part):
                wrong.append(part)
    for index in rng.permutation(len(wrong))[:PER_PIECE]:
        yield None, wrong[index]


def _nearest(piece: Piece, truths: Sequence[Truth]) -> tuple[int | None, float]:
    """Return the digit that a piece shares most with, and how much of the union."""
    shares = [(overlap(_tight(piece), truth.box), truth.digit) for truth in truths]
    share, digit = max(shares, default=(0.0, None))
    return digit, share


def _is_bar(piece: Piece) -> bool:
    points = np.argwhere(piece.ink > piece.ink.max() // 2)
    across, along = np.linalg.eigvalsh(np.cov(points.T)) if len(points) > 2 else (0.0, 1.0)
    return bool(across < BAR * along)


def _tight(piece: Piece) -> Box:
    """Return the box of a piece without the soft edge of its strokes."""
    x, y, w, h = piece.box
    return x + 1, y + 1, max(1, w - 2), max(1, h - 2)
