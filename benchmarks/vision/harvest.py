"""What reading a page comes across, with the truth about it: digits, parts of digits, several in one, and the rest.

The pages are written with MNIST training digits; every connected piece of ink, and every part that a cut through it
makes, is compared with what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.vision.scoring import Box, overlap
from benchmarks.vision.synthetic.digits import Digits
from benchmarks.vision.synthetic.page import PageStyle, Truth, compose_page
from benchmarks.vision.synthetic.styles import STYLES
from edgemnist.images.grey import to_grey
from edgemnist.images.mnist import fit_digit
from edgemnist.read.pieces import Piece, find_pieces
from edgemnist.read.split import between, cut_columns

IS_DIGIT: Final = 0.8
"""What shares at least this much of the union with a digit's box is this digit."""
NO_DIGIT: Final = 0.45
"""What shares at most this much with every digit's box is none; between the two nobody can say."""
BAR: Final = 0.05
"""Parts whose ink spreads across less than this share of how it spreads along (variances) are left out: the leg of a 4
is a 1 to anybody who sees no more."""
PER_PIECE: Final = 4
"""At most so many wrong parts of each piece are kept."""


@dataclass(frozen=True)
class Harvest:
    """Images as reading makes them."""

    digits: npt.NDArray[np.uint8]
    """uint8 [N, 28, 28]."""
    labels: npt.NDArray[np.int64]
    """int64 [N]: which digit each is."""
    others: npt.NDArray[np.uint8]
    """uint8 [M, 28, 28]: what is no digit."""


def harvest(digits: Digits, pages: int, rng: np.random.Generator) -> Harvest:
    """Write, photograph and take apart so many small pages."""
    found: list[tuple[int | None, npt.NDArray[np.uint8]]] = []
    for _ in range(pages):
        style = _small_page(rng)
        page = compose_page(digits.sample(style.rows * style.columns, rng), rng, style)
        pieces = find_pieces(to_grey(Image.fromarray(page.picture), 2048))
        for piece in (*pieces.candidates, *pieces.fragments):
            found += [(label, fit_digit(part.ink)) for label, part in _judged(piece, page.truths, rng)]
    return Harvest(
        np.stack([image for label, image in found if label is not None]),
        np.array([label for label, _ in found if label is not None]),
        np.stack([image for label, image in found if label is None]),
    )


def _small_page(rng: np.random.Generator) -> PageStyle:
    """Return one of the styles with a few digits, large or small."""
    style = STYLES[str(rng.choice(list(STYLES)))]
    side = float(rng.uniform(0.045, 0.09))
    columns = max(3, int(0.5 / side))
    return replace(
        style,
        width=900,
        height=700,
        digit=side,
        rows=4,
        columns=columns,
        touching=max(style.touching, float(rng.choice([0, 0.3]))),
    )


def _judged(piece: Piece, truths: Sequence[Truth], rng: np.random.Generator) -> Iterator[tuple[int | None, Piece]]:
    """Return a piece and the parts that cuts make of it, each with its digit, or with None where it is none."""
    near = [truth for truth in truths if overlap(piece.box, truth.box) > 0]
    yield from _verdict(piece, near)
    seams = [None, *cut_columns(piece), None]
    parts = [
        part
        for start in range(len(seams) - 1)
        for stop in range(start + 1, len(seams))
        if stop - start < len(seams) - 1 and (part := between(piece, seams[start], seams[stop])) is not None
    ]
    judged = [verdict for part in parts for verdict in _verdict(part, near)]
    yield from (verdict for verdict in judged if verdict[0] is not None)
    wrong = [verdict for verdict in judged if verdict[0] is None]
    for index in rng.permutation(len(wrong))[:PER_PIECE]:
        yield wrong[index]


def _verdict(piece: Piece, truths: Sequence[Truth]) -> Iterator[tuple[int | None, Piece]]:
    shares = [overlap(_tight(piece), truth.box) for truth in truths]
    if max(shares, default=0) >= IS_DIGIT:
        yield truths[int(np.argmax(shares))].digit, piece
    elif max(shares, default=0) <= NO_DIGIT and not (shares and _is_bar(piece)):
        yield None, piece


def _is_bar(piece: Piece) -> bool:
    points = np.argwhere(piece.ink > piece.ink.max() // 2)
    across, along = np.linalg.eigvalsh(np.cov(points.T)) if len(points) > 2 else (0.0, 1.0)
    return bool(across < BAR * along)


def _tight(piece: Piece) -> Box:
    """Return the box of a piece without the soft edge of its strokes."""
    x, y, w, h = piece.box
    return x + 1, y + 1, max(1, w - 2), max(1, h - 2)
