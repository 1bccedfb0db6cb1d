"""Finding what may be a digit on a page: its connected pieces of ink, those of its tables cell by cell."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.digits.images.find import INK_SHARE, block_maxima, strong_ink
from edgemnist.digits.images.grey import Grey
from edgemnist.digits.images.mnist import stroke_contrast, stroke_width
from edgemnist.digits.images.paper import Ink, extract_ink
from edgemnist.digits.read.grid import Grid
from edgemnist.digits.read.layout import around, arrange, numbers_in
from edgemnist.digits.read.lines import (
    UNDERLINE,
    Rulings,
    find_rulings,
    without_grids,
    without_rulings,
    without_underline,
)
from edgemnist.digits.read.piece import LARGEST, MIN_HEIGHT, WIDEST, Piece, Pieces, Sheet, without_rings
from edgemnist.digits.read.tables import find_tables
from edgemnist.digits.task import Box

MIN_SIDE: Final = 6
"""Longer side, in pixels, below which ink is grain, and not even part of a digit."""
EDGE_LENGTH: Final = 0.5
"""Length, as a share of the page's longer side, above which a thin piece is the edge of something."""
EDGE_STROKE: Final = 0.03
"""Stroke of such an edge, as a share of its length, at most."""
CORNER: Final = 0.02
"""Gap to both sides of the picture, as a share of its own length, within which a piece is the edge of something."""
PALEST: Final = 50
"""Light that writing takes at least, of 255: print on the back of a sheet takes up to 40, pale pens 80 and more."""
FAINTEST_RULING: Final = 30
"""Light that a ruling, or what is written in a cell, takes at least, of 255. Pale in the light, a ruling is strong at
the edge of a shadow."""
BLOCKS: Final = 64
"""Blocks along the longer side of a page whose strongest ink tells how strong it is there."""
LOCAL_SHARE: Final = 0.5
"""Share of that from which on there is ink, where it is weak."""
FAINT: Final = 0.6
"""Share of the usual ink's strength below which ink is grain, or print on the back of the sheet."""
SURROUNDINGS: Final = 4
"""Pixels around a piece in which its ground is looked at."""
PAPER: Final = 0.9
"""Quantile of the grey levels around a piece that is its ground."""
FIELD: Final = 0.5
"""Share of what is around a piece, as far as it is high, that ink covers at most: more is a dark field."""
SOLID: Final = 0.45
"""Stroke, as a share of a piece's longer side, above which it is a blot or a punch hole."""
MAX_PIECES: Final = 5000
"""Pieces looked at, those with the most ink: an A4 sheet full of digits 2 mm high has no more, noise has."""
HELD_STROKE: Final = 0.35
"""Width of a digit's stroke, in its heights, at most, where a line holds it: what is wider is shade."""
HELD_LINE: Final = 1.3
"""Length, in such heights, from which on a level or an upright stroke is the line."""
BAR_WIDTH: Final = 2
"""Width of a minus by its height, at least."""
WINDOW_INK: Final = 0.5
"""Share of its box that a window fills, at least: bright digits are the rest."""
WINDOW_SIDE: Final = 32
"""Height of a window, in pixels, at least: letters of a bright word of 24 pixels on a dark key were a 31."""
WHEEL_WIDTH: Final = 0.3
"""Width of a dark field by its height, at least: a wheel of a counter may be one of its own."""
WHEEL_GAP: Final = 0.2
"""Gap to the next wheel, in such heights, at most: those of `benchmarks.vision.strips` have up to 0.17."""
BROKEN_SIDE: Final = 640
"""Longer side, in pixels, of the copy in which digits in parts are looked for."""
BROKEN_GAP: Final = 0.12
"""Gap between parts of a digit, by the longer side of a part, at most."""
BROKEN_PITCH: Final = 0.6
"""Gap between such digits, in their heights, at most."""
BROKEN_UNEVEN: Final = 0.2
"""Share by which their heights differ at most."""
UNDIVIDED: Final = 3
"""Digits, at least, of a row that no larger gap divides: of two, 40 pages without digits have 17 false ones, not 1."""
BROKEN_ROOM: Final = 0.35
"""Room to the left and the right of them, in their heights; there is half as much above and below."""
MAX_FIELDS: Final = 64
MAX_WINDOWS: Final = 8
"""Dark fields that are looked at, and windows and bands that are opened, the largest of each."""


def find_sheet(grey: Grey, *, dark: bool) -> Sheet:
    """Return what may be a digit, or part of one, in the grey levels of a page, uint8 [h, w], and its tables.

    `dark` tells whether its ink is darker than its ground.
    """
    grids = find_tables(grey, dark=dark)
    ink = extract_ink(grey, dark=dark)
    light = grey if dark else 255 - grey
    bare = without_grids(ink, grids)
    frames: list[Grid] = []
    found: dict[Grid, Pieces] = {}
    left = MAX_PIECES
    # A table in a cell of another one goes first, and is taken out of the other's ink.
    nested = [
        grid for grid in grids
        if any(all(other.locate(*at) is not None for at in grid.inner_points) for other in grids if other is not grid)
    ]  # fmt: skip
    for grid in sorted(grids, key=lambda grid: (grid not in nested, np.ptp(grid.corners[:, 0]))):
        pieces = pieces_in(bare, grid, left)
        if is_frame(grid, pieces):
            frames.append(grid)
        elif is_written_into(grid, pieces):
            found[grid] = pieces
            left -= len(pieces.candidates) + len(pieces.fragments)
            if grid in nested:
                blank_out(bare, grid)
    framed, ink = ink, without_grids(ink, frames)
    if not found:
        pieces = _pieces(ink, find_rulings(framed, FAINTEST_RULING), light)
        return Sheet([pieces], [], ink)
    grids = [grid for grid in grids if grid in found]
    parts = [found[grid].of_table(number) for number, grid in enumerate(grids)]
    bare = without_grids(ink, grids)
    for grid in grids:
        blank_out(bare, grid)
    pieces = _pieces(bare, find_rulings(bare, FAINTEST_RULING), light, left)
    return Sheet([pieces, *parts], grids, ink)


def _pieces(
    ink: Ink, rulings: Rulings, light: Grey, most: int = MAX_PIECES, *, windows_out: bool = False, bare: bool = False
) -> Pieces:
    """Return what stands outside of tables; windows and underlines may be no longer in its ink."""
    strong = strong_ink(ink)
    if strong is None:
        return Pieces([], [], 0)
    ink = without_rulings(ink, rulings)
    mask = _mask(ink, strong)
    _, found, told, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    labels, stats = np.asarray(found, dtype=np.int32), np.asarray(told, dtype=np.int32)
    page_height, page_width = ink.shape
    x, y, w, h, area = stats.T
    # A minus tells how high digits are by its width.
    reach = np.where((w >= BAR_WIDTH * h) & (area >= WINDOW_INK * w * h), w, h)
    aside, beyond = np.minimum(x, page_width - x - w), np.minimum(y, page_height - y - h)
    inside = (np.minimum(aside, beyond) > 0) & (np.maximum(aside, beyond) > CORNER * np.maximum(w, h))
    inside[0] = False
    large = inside & (np.maximum(w, h) >= MIN_SIDE)
    chosen = np.flatnonzero(large)
    by_ink = chosen[np.argsort(-area[chosen], kind="stable")]
    chosen, dropped = np.sort(by_ink[:most]), by_ink[most:].tolist()
    left_out: list[Box] = [(left, top, wide, high) for left, top, wide, high in stats[dropped, :4].tolist()]
    kept: list[int] = chosen.tolist()
    # Most of a window is ink on the whole page, and not only against what is around it.
    dark = np.bincount(labels[ink >= INK_SHARE * strong], minlength=len(stats))
    is_solid = (area >= WINDOW_INK * w * h) & (3 * dark >= 2 * area) & (h >= WINDOW_SIDE) & (w >= WHEEL_WIDTH * h)
    solid = np.flatnonzero(is_solid & large)
    windows, narrow = _windows(np.asarray(stats[solid], dtype=np.int32))
    others = [*(reach[label] for label in set(kept).difference(solid.tolist()) if h[label] >= MIN_HEIGHT), *narrow]
    tall = [window for window in windows if not others or window[3] > LARGEST * np.median(others)]
    # A band that the side of the picture cuts may be the head of a table.
    windows += _windows(np.asarray(stats[is_solid & (aside <= 0) & (beyond > 0)], dtype=np.int32))[0]
    if tall and not windows_out:
        # What is printed beside a window is paler than that, and than the case around both.
        outside = ~inside & (np.arange(len(stats)) > 0)
        paler = np.where(outside[labels], np.uint8(0), ink)
        for left, top, wide, high in tall:
            paler[top : top + high, left : left + wide] = 0
        beside = _pieces(paler, rulings, light, most, windows_out=True)
        if beside.held is not None and beside.candidates:
            cut = (outside & (np.maximum(w, h) >= MIN_HEIGHT)).astype(np.uint8)[labels]
            return replace(beside, windows=windows, held=beside.held | _held(cut, beside.height))
    pieces = {label: cut_out(ink, labels, label, stats[label]) for label in kept}
    kept = [label for label in kept if not _is_foreign(pieces[label], max(ink.shape))]
    too_large = set(np.flatnonzero(np.maximum(w, h) >= MIN_HEIGHT).tolist()).difference(
        kept, {0}, dropped, solid.tolist()
    )
    if not kept:
        return Pieces([], [], 0, left_out=left_out, windows=windows)
    strength = {label: stroke_contrast(pieces[label].ink) - _shade(ink, mask, pieces[label]) for label in kept}
    least = max(PALEST, FAINT * weighted_median(np.array([*strength.values()]), area[kept].astype(float)))
    kept = [label for label in kept if strength[label] >= least and not is_in_field(light, pieces[label])]
    if not kept:
        return Pieces([], [], 0, left_out=left_out, windows=windows)
    typical = weighted_median(reach[kept].astype(float), area[kept].astype(float))
    if not bare and (cleared := _without_underlines(ink, labels, stats, {*kept, *too_large}, typical)) is not None:
        return _pieces(cleared, Rulings([], []), light, most, windows_out=windows_out, bare=True)
    too_large.update(label for label in kept if h[label] > LARGEST * typical or w[label] > WIDEST * typical)
    is_large = np.zeros(len(stats), dtype=np.uint8)
    is_large[[*too_large]] = 1
    every = [pieces[label] for label in kept]
    held = _held(is_large[labels], typical)
    return Pieces(every, [], typical, left_out=left_out, windows=windows, held=held).by_height(typical)


def _without_underlines(
    ink: Ink, labels: npt.NDArray[np.int32], stats: npt.NDArray[np.int32], chosen: set[int], height: float
) -> Ink | None:
    """Return the ink, uint8 [h, w], without lines under or over chosen components, or None if it has none."""
    cleared, found = ink.copy(), False
    for label in chosen:
        left, top, wide, high = stats[label, :4].tolist()
        if wide > UNDERLINE * height and high <= LARGEST * height:
            mask = (labels[top : top + high, left : left + wide] == label).astype(np.uint8)
            found |= without_underline(cleared[top : top + high, left : left + wide], mask, height)
    return cleared if found else None


def _mask(ink: Ink, strong: int) -> Ink:
    """Return where ink is, uint8 [h, w]: against the strongest around it, since a pencil is paler than print."""
    high, wide = ink.shape
    near = cv2.dilate(block_maxima(ink, max(1, max(high, wide) // BLOCKS)), np.ones((3, 3), np.uint8))
    least = np.clip(np.float32(LOCAL_SHARE) * near, min(INK_SHARE * strong, PALEST / 2), INK_SHARE * strong)
    return np.asarray(ink >= cv2.resize(least, (wide, high), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _windows(solid: npt.NDArray[np.int32]) -> tuple[list[Box], list[int]]:
    """Return the windows among solid components, [N, 5], those side by side as one, and the heights of other fields."""
    largest = solid[np.argsort(-solid[:, 4], kind="stable")][:MAX_FIELDS, :4]
    fields: list[Box] = [(left, top, wide, high) for left, top, wide, high in largest.tolist()]
    lines = [row for line in arrange(fields) for row in numbers_in(line, fields, WHEEL_GAP)]
    rows = [around([fields[index] for index in row]) for row in lines]
    windows = sorted((row for row in rows if row[2] >= row[3]), key=lambda row: -row[2] * row[3])
    return windows[:MAX_WINDOWS], [row[3] for row in rows if row[2] < row[3]]


def find_broken(grey: Grey, grids: Sequence[Grid]) -> list[tuple[Box, int]]:
    """Return rows of digits that fall into parts, as segments of displays and dots of printers do: box and digits.

    `grey` is a page, uint8 [h, w], of which tables, `grids`, are left out. At least two digits of a row have the same
    height, and half of them fall into parts, dark or light ones. A row whose digits are as near as parts is one piece.
    """
    factor = min(1.0, BROKEN_SIDE / max(grey.shape))
    sides = [max(1, round(factor * side)) for side in grey.shape[::-1]]
    small = np.asarray(cv2.resize(grey, sides, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    rows: dict[Box, int] = {}
    for dark in (True, False):
        pieces = _in_parts(extract_ink(small, dark=dark))
        boxes = [around(parts) for parts in pieces]
        undivided = {index for index, (_, _, wide, high) in enumerate(boxes) if wide > high}
        numbers = [number for line in arrange(boxes) for number in numbers_in(line, boxes, BROKEN_PITCH)]
        # What stands beside a row may be letters, so it is tried without them as well.
        for number in [*numbers, *([index] for index in undivided)]:
            usual = float(np.median([boxes[index][3] for index in number]))
            alike = [index for index in number if abs(boxes[index][3] - usual) < BROKEN_UNEVEN * usual]
            digits = len(alike) if undivided.isdisjoint(alike) else max(UNDIVIDED, len(alike))
            if digits > 1 and 2 * sum(len(pieces[index]) > 1 for index in alike) >= len(alike):
                left, top, wide, high = around([boxes[index] for index in alike])
                room = BROKEN_ROOM * high
                place = max(0.0, left - room), max(0.0, top - room / 2), wide + 2 * room, high + room
                x, y, w, h = (round(value / factor) for value in place)
                if all(grid.locate(x + w / 2, y + h / 2) is None for grid in grids):
                    rows[x, y, w, h] = digits
    return sorted(rows.items(), key=lambda row: -row[0][2] * row[0][3])[:MAX_WINDOWS]


def _in_parts(ink: Ink) -> list[list[Box]]:
    """Return what may be a digit, or a row of them, in the ink of a picture, uint8 [h, w]: the boxes of its parts."""
    if (strong := strong_ink(ink)) is None:
        return []
    mask = (ink >= strong * INK_SHARE).astype(np.uint8)
    stats = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)[2]
    x, y, w, h, area = stats.T
    edge = np.min([x, y, ink.shape[1] - x - w, ink.shape[0] - y - h], axis=0)
    fits = np.flatnonzero((edge > 0) & (np.maximum(w, h) >= MIN_SIDE))
    fits = fits[np.argsort(-area[fits], kind="stable")[:MAX_PIECES]]
    joined, places = np.zeros_like(mask), stats[fits, :4].tolist()
    for left, top, wide, high in places:
        reach = max(1, round(BROKEN_GAP / 2 * max(wide, high)))
        joined[max(0, top - reach) : top + high + reach, max(0, left - reach) : left + wide + reach] = 1
    labels = cv2.connectedComponents(joined)[1]
    parts: dict[int, list[Box]] = {}
    for left, top, wide, high in places:
        parts.setdefault(int(labels[top, left]), []).append((left, top, wide, high))
    wholes = [(some, around(some)[2:]) for some in parts.values()]
    # A row that falls into parts has more of them than digits.
    return [some for some, (wide, high) in wholes if high >= MIN_HEIGHT and (wide <= high or len(some) > UNDIVIDED)]


def _held(large: Ink, height: float) -> Ink:
    """Return where pieces that are too large, uint8 [h, w], are neither shade nor long lines, by a digit's height."""
    side, long = max(3, round(HELD_STROKE * height)), round(HELD_LINE * height)
    ways = (side, side), (1, long), (long, 1)
    wide = [cv2.morphologyEx(large, cv2.MORPH_OPEN, np.ones(way, np.uint8)) for way in ways]
    return np.asarray(large > np.max(wide, axis=0), dtype=np.uint8)


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
    """Return whether a piece is a blot, a punch hole or the edge of a sheet."""
    height, width = piece.ink.shape
    long = max(height, width)
    stroke = stroke_width(np.where(piece.ink > piece.ink.max() / 2, 255, 0).astype(np.uint8))
    is_edge = long > EDGE_LENGTH * page_side and stroke < EDGE_STROKE * long
    return bool(is_edge or (height < 2 * width and stroke > SOLID * long))


def is_in_field(light: Grey, piece: Piece) -> bool:
    """Return whether a piece lies between bright letters on a dark field: that is as dark, all around."""
    x, y, w, h = piece.box
    stroke = piece.ink > piece.ink.max() // 2
    near = light[max(0, y - SURROUNDINGS) : y + h + SURROUNDINGS, max(0, x - SURROUNDINGS) : x + w + SURROUNDINGS]
    between = (_level(light[y : y + h, x : x + w][stroke], 0.5) + _level(near, PAPER)) / 2
    around = light[max(0, y - h) : y + 2 * h, max(0, x - h) : x + w + h]
    within = int(np.count_nonzero(light[y : y + h, x : x + w] < between))
    dark = int(np.count_nonzero(around < between)) - within
    return dark > FIELD * max(1, around.size - w * h)


CELL_STROKE: Final = 0.4
"""Width of a stroke, as a share of its cell's shorter side, at most: what is wider is shade."""
CELL_STRONG: Final = 96
"""Percentile of the inked pixels of a cell that is the strength of its ink."""
CELL_INKED: Final = 25
"""Light, of 255, that a pixel takes at least to count as inked there."""
CELL_INNER: Final = 0.12
"""Share of a cell at each side that does not count there: what is left of its lines."""
LEFTOVER_THIN: Final = 0.14
"""Thickness of what is left of a line, as a share of the cell's shorter side, at most."""
LEFTOVER_NEAR: Final = 3
"""Pixels that it is from the side of its cell, at most, beside half of the line's thickness."""
CELL_MIN_HEIGHT: Final = 8
"""Height, in pixels, below which a digit cannot be read, even where one is expected."""
CELL_SPECK: Final = 0.45
"""Height, as a share of that of a table's digits, below which a piece is part of one, or a speck."""
CELL_TALLEST: Final = 5
"""Height and width of a cell, in heights of a table's digits, above which it is a frame around a part of the page."""
OVER_SQUARE: Final = 1.1
"""Height of a piece, in squares, from which on it does not respect squared paper."""
FEW_OVER: Final = 0.3
"""Share of the ink in such pieces below which squares are a table, and not squared paper."""


def pieces_in(ink: Ink, grid: Grid, most: int) -> Pieces:
    """Return the pieces of ink in a table, each with its cell; its lines are taken out of `ink`, uint8 [h, w].

    At most so many, those with the most ink.
    """
    by_ink = sorted(_pieces_of_table(ink, grid), key=lambda piece: -np.count_nonzero(piece.ink))
    typical = _typical(by_ink)
    pieces, left_out = by_ink[:most], [piece.box for piece in by_ink[most:]]
    least = max(CELL_MIN_HEIGHT, CELL_SPECK * typical)
    return Pieces(
        without_rings([piece for piece in pieces if piece.box[3] >= least]),
        [piece for piece in pieces if piece.box[3] < least],
        typical,
        left_out=left_out,
    )


def _typical(pieces: Sequence[Piece]) -> float:
    """Return the usual height of pieces, in pixels, or 0: half of the ink lies in pieces that are not higher."""
    heights = np.array([piece.box[3] for piece in pieces], dtype=np.float64)
    areas = np.array([np.count_nonzero(piece.ink) for piece in pieces], dtype=np.float64)
    return weighted_median(heights, areas) if pieces else 0.0


def is_frame(grid: Grid, found: Pieces) -> bool:
    """Return whether the cells of a grid are so large against what is written there that they are parts of the page."""
    return min(grid.cell_height, grid.cell_width) > CELL_TALLEST * found.height > 0


def is_written_into(grid: Grid, found: Pieces) -> bool:
    """Return whether a grid is a table, and not squared paper, on which digits are larger than the squares."""
    areas = np.array([np.count_nonzero(piece.ink) for piece in found.candidates], dtype=float)
    large = np.array([piece.box[3] > OVER_SQUARE * grid.cell_height for piece in found.candidates])
    return not areas.size or float(areas[large].sum()) < FEW_OVER * float(areas.sum())


def _pieces_of_table(ink: Ink, grid: Grid) -> list[Piece]:
    left, top, right, bottom = _bounds(grid, ink.shape)
    # Without what is wider than any stroke: shade and texture that the paper has.
    side = max(3, round(CELL_STROKE * min(grid.cell_height, grid.cell_width)))
    thin = cv2.morphologyEx(ink[top:bottom, left:right], cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    part = np.asarray(thin, dtype=np.uint8)
    least = _thresholds(part, grid, (left, top))
    mask = (part >= least).astype(np.uint8)
    _, named, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    labels = np.asarray(named, dtype=np.int32)
    found: list[Piece] = []
    for label in range(1, len(stats)):
        if stats[label, 2:4].max() < MIN_SIDE:
            continue
        piece = cut_out(part, labels, label, stats[label])
        x, y, w, h = piece.box
        placed = _placed(replace(piece, box=(left + x, top + y, w, h)), grid)
        if placed is not None:
            found.append(placed)
    return found


def blank_out(ink: Ink, grid: Grid) -> None:
    """Take all that is in a table away from ink, in place."""
    cv2.fillConvexPoly(ink, np.rint(grid.corners).astype(np.int32), 0)


def _bounds(grid: Grid, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = grid.vertices.min(axis=(0, 1)), grid.vertices.max(axis=(0, 1))
    return max(0, int(left)), max(0, int(top)), min(shape[1], int(right) + 2), min(shape[0], int(bottom) + 2)


def _thresholds(part: Ink, grid: Grid, origin: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return from which strength on there is ink, float32 [h, w]: cell by cell, since one is bold, the other pencil."""
    quads = np.stack([grid.quad(cell) for cell in grid.cells]) - np.array(origin)
    least = np.full(part.shape, np.inf, dtype=np.float32)
    for quad in quads:
        if (strength := _strength(part, quad)) >= FAINTEST_RULING:
            cv2.fillConvexPoly(least, np.rint(quad).astype(np.int32), max(CELL_INKED, INK_SHARE * strength))
    return least


def _strength(part: Ink, quad: npt.NDArray[np.float64]) -> float:
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    dx, dy = CELL_INNER * (right - left), CELL_INNER * (bottom - top)
    inner = part[max(0, int(top + dy)) : max(0, int(bottom - dy)), max(0, int(left + dx)) : max(0, int(right - dx))]
    inked = inner[inner >= CELL_INKED]
    return float(np.percentile(inked, CELL_STRONG)) if inked.size > 0 else 0.0


def cut_out(ink: Ink, labels: npt.NDArray[np.int32], label: int, stats: npt.NDArray[np.int32]) -> Piece:
    """Cut out a piece, with the soft edge of its strokes, which lies outside the mask.

    `labels`, `label` and `stats` are OpenCV's of connected components, all, one and its row.
    """
    x, y, w, h = (int(value) for value in stats[:4])
    left, top = max(0, x - 1), max(0, y - 1)
    right, bottom = min(ink.shape[1], x + w + 1), min(ink.shape[0], y + h + 1)
    own = (labels[top:bottom, left:right] == label).astype(np.uint8)
    near = cv2.dilate(own, np.ones((3, 3), np.uint8))
    return Piece((left, top, right - left, bottom - top), np.where(near, ink[top:bottom, left:right], 0))


def weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Return the least of values, [N], up to which there is half of the weights, [N]."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def _placed(piece: Piece, grid: Grid) -> Piece | None:
    """Return a piece with its cell, or None for a speck or what is left of a line."""
    x, y, w, h = piece.box
    index = grid.locate(x + w / 2, y + h / 2)
    if index is None:
        return None
    quad = grid.quad(grid.cells[index])
    height = float(quad[2:, 1].mean() - quad[:2, 1].mean())
    width = float(quad[1:3, 0].mean() - quad[[0, 3], 0].mean())
    if stroke_contrast(piece.ink) < FAINTEST_RULING:
        return None
    left, right = x - quad[[0, 3], 0].mean(), quad[1:3, 0].mean() - (x + w)
    above, below = y - quad[:2, 1].mean(), quad[2:, 1].mean() - (y + h)
    thin = LEFTOVER_THIN * min(width, height)
    near = LEFTOVER_NEAR + max(thickness for _, thickness in (*grid.level, *grid.upright)) / 2
    if (w <= thin and min(left, right) <= near) or (h <= thin and min(above, below) <= near):
        return None
    return replace(piece, cell=index, hangs=min(above, below) <= near)
