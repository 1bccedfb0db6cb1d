"""Lines, their order and the numbers in them, at the very distances that decide it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.digits.read.layout import LINE_OVERLAP, MEMORY, around, arrange, numbers_in, overlap, page_slope
from edgemnist.ground.results.pictures import Box


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
