"""The connected pieces of ink on a page that may be digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.find import INK_SHARE, strong_ink
from edgemnist.images.grey import Grey
from edgemnist.images.mnist import stroke_contrast, stroke_width
from edgemnist.images.paper import Ink, extract_ink, is_dark_on_light
from edgemnist.read.results import Box
from edgemnist.read.rulings import erase_rulings

MIN_SIDE: Final = 6
"""Pixels; a digit that is lower cannot be told from grain."""
SPECK: Final = 0.4
"""What is smaller than this share of a digit's height is a speck, a dot or part of a digit."""
LARGEST: Final = 2.5
"""What is higher than this many digits, or wider than `WIDEST` of them, is no digit: frames, stains, page edges."""
WIDEST: Final = 8.0
FAINT: Final = 0.6
"""What is weaker than this share of the usual ink is something else: a ruling, or print on the back of the sheet."""
SOLID: Final = 0.45
"""A piece whose stroke is wider than this share of its longer side is a blot or a punch hole."""


@dataclass(frozen=True)
class Piece:
    """Some ink, cut out of the page."""

    box: Box
    ink: Ink
    """uint8, of the box's size; 0 where the ink belongs to something else."""


@dataclass(frozen=True)
class Pieces:
    """All pieces of a page."""

    candidates: list[Piece]
    """What has the size of a digit, or of several that touch."""
    fragments: list[Piece]
    """What is smaller: specks, and parts of digits that are broken."""
    height: float
    """Of a typical digit, in pixels."""


def find_pieces(grey: Grey) -> Pieces:
    """Return what may be a digit, or part of one, in the grey levels of a page, uint8 [h, w]."""
    ink = extract_ink(grey, dark=is_dark_on_light(grey))
    strong = strong_ink(ink)
    if strong is None:
        return Pieces([], [], 0)
    mask = (ink >= strong * INK_SHARE).astype(np.uint8)
    mask = erase_rulings(mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    page_height, page_width = grey.shape
    x, y, w, h, area = stats.T
    inside = (x > 0) & (y > 0) & (x + w < page_width) & (y + h < page_height)
    inside[0] = False
    large = inside & (np.maximum(w, h) >= MIN_SIDE)
    kept = [label for label in range(count) if large[label]]
    pieces = {label: _cut(ink, labels, label, tuple(int(v) for v in stats[label][:4])) for label in kept}
    solid = {label for label, piece in pieces.items() if _is_solid(piece)}
    kept = [label for label in kept if label not in solid]
    if not kept:
        return Pieces([], [], 0)
    strength = {label: stroke_contrast(pieces[label].ink) for label in kept}
    usual = _weighted_median(np.array(list(strength.values())), area[kept].astype(float))
    kept = [label for label in kept if strength[label] >= FAINT * usual]
    typical = _weighted_median(h[kept].astype(float), area[kept].astype(float))
    candidates, fragments = [], []
    for label in kept:
        if h[label] > LARGEST * typical or w[label] > WIDEST * typical:
            continue
        (candidates if h[label] >= SPECK * typical else fragments).append(pieces[label])
    return Pieces(candidates, fragments, typical)


def _cut(ink: Ink, labels: npt.NDArray[np.int32], label: int, box: Box) -> Piece:
    """Cut out a piece, with the soft edge of its strokes, which lies outside the mask."""
    x, y, w, h = box
    left, top = max(0, x - 1), max(0, y - 1)
    right, bottom = min(ink.shape[1], x + w + 1), min(ink.shape[0], y + h + 1)
    own = (labels[top:bottom, left:right] == label).astype(np.uint8)
    near = cv2.dilate(own, np.ones((3, 3), np.uint8))
    return Piece((left, top, right - left, bottom - top), ink[top:bottom, left:right] * near)


def _is_solid(piece: Piece) -> bool:
    height, width = piece.ink.shape
    if height > 2 * width:
        return False
    mask = np.where(piece.ink > piece.ink.max() / 2, 255, 0).astype(np.uint8)
    return stroke_width(mask) > SOLID * max(height, width)


def _weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])
