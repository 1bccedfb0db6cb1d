"""Lines, their order and the numbers in them, at the very distances that decide it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.vision.synthetic.forms import STYLES, compose_form
from edgemnist.digits.images.find import bounds
from edgemnist.digits.images.paper import Ink
from edgemnist.digits.read.layout import LINE_OVERLAP, MEMORY, around, arrange, numbers_in, overlap, page_slope
from edgemnist.digits.read.lines import MAX_LINES, find_rulings, without_rulings
from edgemnist.digits.read.page import FEWEST_TO_TURN, box_before, read_page
from edgemnist.digits.task import Box
from edgemnist.model.runtimes.interface import Classifier
from tools.likeness.page import Digits
from tools.likeness.strokes import print_text


def row(*levels: float, step: int = 100, height: int = 100) -> list[Box]:
    """Return boxes of 60 × `height` pixels, `step` apart, whose tops are at these levels."""
    return [(step * place, round(level), 60, height) for place, level in enumerate(levels)]


@pytest.mark.parametrize("slope", [-0.2, -0.1, -0.03, 0, 0.03, 0.1, 0.2])
def test_lines_are_followed_from_top_to_bottom_however_they_slant(slope: float) -> None:
    boxes = [box for line in range(4) for box in row(*(1000 + 300 * line + slope * 100 * at for at in range(12)))]
    shuffled = np.random.default_rng(0).permutation(len(boxes))
    lines = arrange([boxes[index] for index in shuffled])
    assert [[shuffled[index] for index in line] for line in lines] == np.arange(48).reshape(4, 12).tolist()


# A row that sags like a hammock leaves its first boxes far behind, and the mean of all with them.
SAG = [1000 + 15 * place for place in range(9)]


@pytest.mark.parametrize(
    ("boxes", "lines"),
    [
        ([], []),
        ([(3, 4, 5, 6)], [[0]]),
        # Two boxes have any slope, so none is looked for.
        (row(1000, 1000 + 100 * LINE_OVERLAP - 1), [[0, 1]]),
        (row(1000, 1000 + 100 * LINE_OVERLAP + 1), [[0], [1]]),
        (row(1000, 1000 - 100 * LINE_OVERLAP - 1), [[1], [0]]),
        # A tall box is measured by its own height: its middle is a height of the small ones away.
        ([(0, 1000, 60, 100), (100, 1000, 60, 300), (200, 1000, 60, 100)], [[0, 1, 2]]),
        (row(*SAG, *SAG[::-1]), [list(range(18))]),
        ([*row(1400, 1400, 1400), *row(1000, 1000, 1000)], [[3, 4, 5], [0, 1, 2]]),
        # By their middles, and not by their edges.
        ([(0, 1000, 200, 100), (50, 1000, 20, 100)], [[1, 0]]),
        ([(80, 1000, 20, 100), (0, 1000, 200, 100)], [[0, 1]]),
    ],
)
def test_a_line_is_what_a_person_follows(boxes: list[Box], lines: list[list[int]]) -> None:
    assert len(SAG) > MEMORY
    assert arrange(boxes) == lines


def test_lines_of_different_slopes_are_kept_apart_and_few_boxes_have_no_slope() -> None:
    boxes = [(60 * column, round(80 * line + (0.02 * line - 0.04) * 60 * column), 20, 30)
             for line in range(4) for column in range(10)]  # fmt: skip
    assert [len(line) for line in arrange(boxes)] == [10] * 4
    assert page_slope(np.array([0.0, 100.0]), np.array([0.0, 20.0]), 100.0) == 0
    assert page_slope(np.arange(5.0), np.arange(5.0), 0.0) == 0


@pytest.mark.parametrize(
    ("widths", "gaps", "join_gap", "numbers"),
    [
        ((60, 60), (40,), 0.4, [[0, 1]]),
        ((60, 60), (41,), 0.4, [[0], [1]]),
        ((60, 60, 60), (0, 1), 0.0, [[0, 1], [2]]),
        # From the box before, and not from the first.
        ((60, 60, 60, 60), (10, 10, 60), 0.4, [[0, 1, 2], [3]]),
        # Of the room that a narrow digit leaves, half to either side is no gap: 20 of 60 - 20.
        ((20, 60), (60,), 0.4, [[0, 1]]),
        ((20, 60), (61,), 0.4, [[0], [1]]),
        ((60, 20), (60,), 0.4, [[0, 1]]),
        ((60, 20), (61,), 0.4, [[0], [1]]),
        # Hardly wider than the one before, and never beyond half as wide as it may be.
        ((60, 60, 60, 60), (56, 63, 63), 0.6, [[0, 1, 2, 3]]),
        ((60, 60, 60), (63, 63), 0.6, [[0], [1], [2]]),
        ((60, 60, 60), (56, 93), 0.6, [[0, 1], [2]]),
    ],
)
@pytest.mark.parametrize("lower", [False, True])
def test_a_wide_gap_ends_a_number(
    widths: tuple[int, ...], gaps: tuple[int, ...], join_gap: float, numbers: list[list[int]], *, lower: bool
) -> None:
    boxes, left = [], 0
    for place, width in enumerate(widths):
        # A gap is measured by the taller neighbour; a lower digit leaves no room that a wider one would.
        boxes.append((left, 0, width, 50 if lower and width == 60 and place % 2 else 100))
        left += width + (*gaps, 0)[place]
    assert numbers_in(list(range(len(boxes))), boxes, join_gap) == numbers


LARGE = (10.0, 20.0, 8.0, 6.0)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (LARGE, 1),
        ((12.0, 21.0, 4.0, 3.0), 12 / 48),  # inside of it
        ((15.0, 24.0, 5.0, 4.0), 6 / 62),  # over a corner: 3 × 2 of 48 + 20 - 6
        ((7.0, 17.0, 5.0, 4.0), 2 / 66),
        ((11.0, 10.0, 2.0, 40.0), 12 / 116),  # beyond it above and below
        ((18.0, 20.0, 8.0, 6.0), 0),  # with a common edge
        ((10.0, 26.0, 8.0, 6.0), 0),
        ((17.5, 20.0, 8.0, 6.0), 3 / 93),  # less than a pixel over it
        ((10.0, 25.5, 8.0, 6.0), 4 / 92),
        ((40.0, 50.0, 8.0, 6.0), 0),
    ],
)
def test_the_overlap_is_the_intersection_by_the_union(other: tuple[float, float, float, float], share: float) -> None:
    assert overlap(LARGE, other) == overlap(other, LARGE) == pytest.approx(share)


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(1, 80), st.integers(1, 80)), max_size=40)
)
def test_every_box_is_on_exactly_one_line_and_within_the_box_around_it(boxes: list[Box]) -> None:
    lines = arrange(boxes)
    assert sorted(index for line in lines for index in line) == list(range(len(boxes)))
    for line in lines:
        middles = [boxes[index][0] + boxes[index][2] / 2 for index in line]
        assert middles == sorted(middles)
        x, y, w, h = around([boxes[index] for index in line])
        assert (x, y) == tuple(min(boxes[index][side] for index in line) for side in (0, 1))
        assert (x + w, y + h) == tuple(max(boxes[i][side] + boxes[i][side + 2] for i in line) for side in (0, 1))


PAGE = Path(__file__).parent / "pages" / "photo.jpg"
LYING = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
"""Turned so against the clock, a page has to be turned by as many degrees clockwise."""


@pytest.mark.parametrize("degrees", LYING)
def test_a_page_is_turned_to_be_read_and_its_boxes_lie_where_digits_do(degrees: int, classifier: Classifier) -> None:
    page = Image.open(PAGE)
    upright, lying = read_page(page, classifier), read_page(page.transpose(LYING[degrees]), classifier)
    assert upright.turned == 0
    assert lying.turned == degrees
    assert [number.text for number in lying.numbers] == [number.text for number in upright.numbers]
    assert (lying.width, lying.height) == (page.size if degrees == 180 else page.size[::-1])
    quarters = degrees // 90
    for straight, turned in zip(upright.digits, lying.digits, strict=True):
        # The page as it should be is the lying one turned back.
        assert box_before(straight.box, -quarters % 4, *page.size) == pytest.approx(turned.box, abs=2)


def test_a_form_upside_down_is_the_same_table(digits: Digits, classifier: Classifier) -> None:
    rng = np.random.default_rng(5)
    form = compose_form(digits.sample(200, rng), rng, STYLES["sudoku"])
    upright, lying = read_page(form.picture, classifier), read_page(form.picture[::-1, ::-1].copy(), classifier)
    assert (upright.turned, lying.turned) == (0, 180)
    (table,), (other,) = upright.tables, lying.tables
    same = [one.text == two.text for one, two in zip(table.cells, other.cells, strict=True)]
    assert np.mean(same) >= 0.95
    height, width = form.picture.shape[:2]
    x, y = other.corners[0]
    assert (width - x, height - y) == pytest.approx(table.corners[0], abs=4)


def test_a_page_of_letters_or_of_few_digits_is_left_as_it_lies(digits: Digits, classifier: Classifier) -> None:
    assert read_page(np.rot90(print_text("Voltage Amount", "DejaVuSans"), 2).copy(), classifier).turned == 0
    sheet = np.full((100, 100 * (FEWEST_TO_TURN - 1)), 255, dtype=np.uint8)
    for number, image in enumerate(digits.images[: FEWEST_TO_TURN - 1]):
        large = np.asarray(Image.fromarray(255 - image).resize((64, 64)))
        sheet[18:82, 100 * number + 18 : 100 * number + 82] = large
    assert read_page(sheet[::-1, ::-1].copy(), classifier).turned == 0


def test_a_box_is_brought_back_through_every_turn() -> None:
    sheet = np.zeros((40, 60), dtype=bool)
    sheet[5:12, 20:23] = True
    for quarters in range(4):
        turned = np.rot90(sheet, quarters)
        top, left, bottom, right = bounds(turned) or (0, 0, 0, 0)
        box = left, top, right - left, bottom - top
        assert box_before(box, quarters, turned.shape[1], turned.shape[0]) == (20, 5, 3, 7)


LEVEL = 60


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


@pytest.mark.parametrize(("gap", "side", "lines"), [(14, 1600, 113), (13, 2040, MAX_LINES)])
def test_the_finest_squared_paper_is_found_and_hatching_takes_no_more_work(gap: int, side: int, lines: int) -> None:
    """2 mm apart on A4."""
    ink = np.zeros((side, side), dtype=np.uint8)
    ink[10:-10:gap] = ink[:, 10:-10:gap] = 200
    rulings = find_rulings(ink, LEVEL)
    assert len(rulings.level) == len(rulings.upright) == lines
