"""The connected pieces of ink on a page that may be digits."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.images.find import INK_SHARE, strong_ink
from edgemnist.images.grey import Grey
from edgemnist.images.mnist import stroke_contrast, stroke_width
from edgemnist.images.paper import Ink, extract_ink, is_dark_on_light
from edgemnist.read.cells import blank_out, cut_out, is_lattice, is_written_into, pieces_in, weighted_median
from edgemnist.read.grid import Grid
from edgemnist.read.piece import Piece, Pieces, Sheet, without_rings
from edgemnist.read.rulings import Rulings, find_rulings, without_grids, without_rulings
from edgemnist.read.structure import find_structure
from edgemnist.results.pictures import Box

MIN_SIDE: Final = 6
"""Pixels; what is smaller is grain, and not even part of a digit."""
MIN_HEIGHT: Final = 14
"""Pixels; a digit that is lower cannot be read."""
EDGE_LENGTH: Final = 0.5
"""What is longer than this share of the page, and as thin as `EDGE_STROKE` of its length, is the edge of something."""
EDGE_STROKE: Final = 0.03
CORNER: Final = 0.02
"""What lies in a corner of the picture, as near to both sides as this share of its length, is the edge of something."""
SPECK: Final = 0.4
"""What is smaller than this share of a digit's height is a speck, a dot or part of a digit."""
LARGEST: Final = 2.5
"""What is higher than this many digits, or wider than `WIDEST` of them, is no digit: frames, stains, page edges."""
WIDEST: Final = 8.0
PALEST: Final = 50
"""Of 255: what takes less of the light is no writing, however little else is on the page. Measured: print on the back
of a sheet takes up to 40, pale pens and chalk 80 and more."""
FAINTEST_RULING: Final = 30
"""Of 255: rulings are looked for down to here, since what is pale in the light is strong at the edge of a shadow."""
FAINT: Final = 0.6
"""What is weaker than this share of the usual ink is something else: a ruling, or print on the back of the sheet."""
SURROUNDINGS: Final = 4
"""Pixels around a piece in which its ground is looked at."""
PAPER: Final = 0.9
"""Quantile of the grey levels beside a piece that is its ground."""
FIELD: Final = 0.5
"""What is ink covers less than this share of what is around, as far as the piece is high."""
SOLID: Final = 0.45
"""A piece whose stroke is wider than this share of its longer side is a blot or a punch hole."""
MAX_PIECES: Final = 2000
"""So many are looked at, those with the most ink: a sheet of A4 full of the smallest digits has no more. Noise and
texture have tens of thousands, and each takes time."""


def find_sheet(grey: Grey) -> Sheet:
    """Return what may be a digit, or part of one, in the grey levels of a page, uint8 [h, w], and its tables."""
    dark = is_dark_on_light(grey)
    grids, staves = find_structure(grey, dark=dark)
    ink, rulings = _ink_and_rulings(grey, dark=dark)
    light = grey if dark else 255 - grey
    bare = without_grids(ink, grids)
    inside = {grid: pieces_in(bare, grid, 0, MAX_PIECES) for grid in grids}
    grids = [grid for grid in grids if is_written_into(grid, inside[grid])]
    if not grids:
        return Sheet([_pieces(ink, rulings, light)], [], staves)
    bare = without_grids(ink, grids)
    found: dict[Grid, Pieces] = {}
    left = MAX_PIECES
    # A table in a cell of another one goes first, and is taken out of the other's ink.
    nested = [grid for grid in grids if any(other is not grid and _holds(other, grid) for other in grids)]
    for grid in sorted(grids, key=lambda grid: (grid not in nested, np.ptp(grid.corners[:, 0]))):
        found[grid] = pieces_in(bare, grid, grids.index(grid), left)
        left -= len(found[grid].candidates) + len(found[grid].fragments)
        if grid in nested:
            blank_out(bare, grid)
    parts = [found[grid] for grid in grids]
    for grid in grids:
        blank_out(bare, grid)
    return Sheet([_pieces(bare, find_rulings(bare, FAINTEST_RULING), light, left), *parts], grids, staves)


def _holds(outer: Grid, inner: Grid) -> bool:
    return all(outer.locate(*point) is not None for point in inner.inner_points)


def find_pieces(grey: Grey) -> Pieces:
    """Return what may be a digit, or part of one, in the grey levels of a page without tables, uint8 [h, w]."""
    dark = is_dark_on_light(grey)
    return _pieces(*_ink_and_rulings(grey, dark=dark), grey if dark else 255 - grey)


def _pieces(ink: Ink, rulings: Rulings, light: Grey, most: int = MAX_PIECES) -> Pieces:
    strong = strong_ink(ink)
    if strong is None:
        return Pieces([], [], 0)
    ink = without_rulings(ink, rulings)
    mask = (ink >= strong * INK_SHARE).astype(np.uint8)
    _, found, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    labels = np.asarray(found, dtype=np.int32)
    page_height, page_width = ink.shape
    x, y, w, h, area = stats.T
    aside, beyond = np.minimum(x, page_width - x - w), np.minimum(y, page_height - y - h)
    inside = (np.minimum(aside, beyond) > 0) & (np.maximum(aside, beyond) > CORNER * np.maximum(w, h))
    inside[0] = False
    large = inside & (np.maximum(w, h) >= MIN_SIDE)
    chosen = np.flatnonzero(large)
    left_out: list[Box] = []
    if len(chosen) > most:
        by_ink = chosen[np.argsort(-area[chosen], kind="stable")]
        left_out = [(left, top, wide, high) for left, top, wide, high in stats[by_ink[most:], :4].tolist()]
        chosen = np.sort(by_ink[:most])
    kept: list[int] = chosen.tolist()
    pieces = {label: cut_out(ink, labels, label, stats[label]) for label in kept}
    kept = [label for label in kept if not _is_foreign(pieces[label], max(ink.shape)) and not is_lattice(pieces[label])]
    if not kept:
        return Pieces([], [], 0, left_out)
    strength = {label: stroke_contrast(pieces[label].ink) - _shade(ink, mask, pieces[label]) for label in kept}
    usual = weighted_median(np.array(list(strength.values())), area[kept].astype(float))
    kept = [label for label in kept if strength[label] >= max(PALEST, FAINT * usual)]
    kept = [label for label in kept if not is_in_field(light, pieces[label])]
    if not kept:
        return Pieces([], [], 0, left_out)
    typical = weighted_median(h[kept].astype(float), area[kept].astype(float))
    candidates: list[Piece] = []
    fragments: list[Piece] = []
    for label in kept:
        if h[label] > LARGEST * typical or w[label] > WIDEST * typical:
            continue
        (candidates if h[label] >= max(MIN_HEIGHT, SPECK * typical) else fragments).append(pieces[label])
    return Pieces(without_rings(candidates), fragments, typical, left_out)


def _ink_and_rulings(grey: Grey, *, dark: bool) -> tuple[Ink, Rulings]:
    """Return the ink of a page, uint8 [h, w], and the lines that are printed on it."""
    if not dark:
        # Squared paper in dim light is as dark as a board, but no board is ruled in black.
        ink = extract_ink(grey, dark=True)
        if (rulings := find_rulings(ink, FAINTEST_RULING)).are_of_paper:
            return ink, rulings
    ink = extract_ink(grey, dark=dark)
    return ink, find_rulings(ink, FAINTEST_RULING)


def _shade(ink: Ink, mask: npt.NDArray[np.uint8], piece: Piece) -> float:
    """Return what is taken for ink around a piece and is none: the edge of a shadow, on which a ruling looks strong."""
    x, y, w, h = piece.box
    place = slice(max(0, y - SURROUNDINGS), y + h + SURROUNDINGS), slice(max(0, x - SURROUNDINGS), x + w + SURROUNDINGS)
    around = ink[place][mask[place] == 0]
    return _level(around, 0.5) if around.size else 0.0


def _level(values: npt.NDArray[np.uint8], quantile: float) -> float:
    """Return a quantile of some levels. NumPy's own costs several times as much, and each piece needs three."""
    at = int(quantile * (values.size - 1))
    return float(np.partition(values, at, axis=None)[at])


def _is_foreign(piece: Piece, page_side: int) -> bool:
    """Tell a blot, a punch hole, or the edge of a sheet, from handwriting."""
    height, width = piece.ink.shape
    long = max(height, width)
    stroke = stroke_width(np.where(piece.ink > piece.ink.max() / 2, 255, 0).astype(np.uint8))
    is_edge = long > EDGE_LENGTH * page_side and stroke < EDGE_STROKE * long
    is_solid = height < 2 * width and stroke > SOLID * long
    return bool(is_edge or is_solid)


def is_in_field(light: Grey, piece: Piece) -> bool:
    """Tell what lies between bright letters on a dark field from ink on paper: the field is as dark, all around."""
    x, y, w, h = piece.box
    stroke = piece.ink > piece.ink.max() // 2
    near = light[max(0, y - SURROUNDINGS) : y + h + SURROUNDINGS, max(0, x - SURROUNDINGS) : x + w + SURROUNDINGS]
    between = (_level(light[y : y + h, x : x + w][stroke], 0.5) + _level(near, PAPER)) / 2
    around = light[max(0, y - h) : y + 2 * h, max(0, x - h) : x + w + h]
    within = int(np.count_nonzero(light[y : y + h, x : x + w] < between))
    dark = int(np.count_nonzero(around < between)) - within
    return dark > FIELD * max(1, around.size - w * h)
