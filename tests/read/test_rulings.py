"""Rulings go, and what is written across them stays."""

import cv2
import numpy as np
import pytest

from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.lines import MAX_RULINGS, find_rulings, without_rulings

LEVEL = 60.0


def cleared_of_rulings(ink: Ink) -> Ink:
    return without_rulings(ink, find_rulings(ink, LEVEL))


def ruled(slope: float, *, upright: bool, strength: int = 110, bend: float = 0.0) -> Ink:
    """Return lines 40 pixels apart, uint8 [500, 600], as a lens sees them."""
    ink = np.zeros((500, 600), dtype=np.uint8)
    along = np.arange(600)
    for middle in range(20, 500, 40):
        rows = middle + slope * (along - 300) + bend * ((along - 300) / 300) ** 2
        points = np.stack([along, rows], axis=1)
        cv2.polylines(ink, [np.rint(points * 16).astype(np.int32)], isClosed=False, color=strength, thickness=2,
                      lineType=cv2.LINE_AA, shift=4)  # fmt: skip
    soft = np.asarray(cv2.GaussianBlur(ink, (0, 0), 0.8), dtype=np.uint8)
    return np.ascontiguousarray(np.rot90(soft)) if upright else soft


def strokes(shape: tuple[int, ...]) -> Ink:
    ink = np.zeros(shape, dtype=np.uint8)
    for left in range(60, shape[1] - 60, 90):
        cv2.line(ink, (left, 200), (left + 20, 260), 200, 6, cv2.LINE_AA)
        cv2.ellipse(ink, (left + 10, 320), (18, 28), 0, 0, 360, 200, 6, cv2.LINE_AA)
    return ink


def over(paper: Ink, ink: Ink) -> Ink:
    """Return ink on a ruled sheet: each takes its share of what the other leaves."""
    return np.asarray(255 - (255.0 - paper) * (255.0 - ink) / 255, dtype=np.float64).astype(np.uint8)


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(("slope", "bend"), [(0.0, 0.0), (0.02, 0.0), (-0.03, 0.0), (0.01, 4.0)])
def test_lines_vanish_and_strokes_across_them_keep_their_ink(slope: float, bend: float, *, upright: bool) -> None:
    paper = ruled(slope, upright=upright, bend=bend)
    ink = strokes(paper.shape)
    cleared = cleared_of_rulings(over(paper, ink))
    bare = cv2.dilate(ink, np.ones((3, 3), np.uint8)) == 0
    assert (over(paper, ink)[bare] >= LEVEL).mean() > 0.03
    assert (cleared[bare] >= LEVEL).mean() < 0.0005
    assert (cleared[ink >= 190] >= LEVEL).mean() > 0.995


def test_a_sheet_without_lines_is_left_as_it_is_and_so_is_a_seven_that_fills_the_picture() -> None:
    seven = np.zeros((300, 300), dtype=np.uint8)
    cv2.polylines(seven, [np.array([(60, 60), (240, 60), (140, 260)])], isClosed=False, color=200, thickness=3)
    for ink in (strokes((500, 600)), seven):
        np.testing.assert_array_equal(cleared_of_rulings(ink), ink)


@pytest.mark.parametrize(("gap", "side", "lines"), [(14, 1600, 113), (13, 2040, MAX_RULINGS)])
def test_the_finest_squared_paper_is_found_and_hatching_takes_no_more_work(gap: int, side: int, lines: int) -> None:
    """2 mm apart on A4."""
    ink = np.zeros((side, side), dtype=np.uint8)
    ink[10:-10:gap] = ink[:, 10:-10:gap] = 200
    rulings = find_rulings(ink, LEVEL)
    assert len(rulings.level) == len(rulings.upright) == lines
