"""Lines, their order and the numbers in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.read.layout import around, arrange, numbers_in
from edgemnist.results.pictures import Box


def grid(rows: int, columns: int, slope: float, pitch: int = 60) -> list[Box]:
    """Return boxes of 20×30 in reading order, on lines that fall by `slope`."""
    return [
        (40 + column * pitch, round(300 + row * 80 + slope * column * pitch), 20, 30)
        for row in range(rows)
        for column in range(columns)
    ]


@pytest.mark.parametrize("slope", [-0.2, -0.1, -0.03, 0, 0.03, 0.1, 0.2])
def test_lines_are_followed_however_they_slant(slope: float) -> None:
    boxes = grid(5, 12, slope)
    shuffled = np.random.default_rng(0).permutation(len(boxes))
    lines = arrange([boxes[index] for index in shuffled])
    assert [shuffled[index] for line in lines for index in line] == list(range(len(boxes)))


def test_lines_of_different_slopes_are_kept_apart() -> None:
    boxes = [(40 + 60 * column, round(100 + row * 80 + (0.02 * row - 0.04) * 60 * column), 20, 30)
             for row in range(4) for column in range(10)]  # fmt: skip
    assert [len(line) for line in arrange(boxes)] == [10] * 4


def test_a_single_box_and_none_are_lines_too() -> None:
    assert arrange([]) == []
    assert arrange([(3, 4, 5, 6)]) == [[0]]


def test_a_wide_gap_ends_a_number_and_a_narrow_one_does_not() -> None:
    boxes = [(0, 0, 20, 30), (25, 0, 20, 30), (80, 0, 20, 30), (102, 0, 20, 30)]
    assert numbers_in([0, 1, 2, 3], boxes, join_gap=0.6) == [[0, 1], [2, 3]]
    assert numbers_in([0, 1, 2, 3], boxes, join_gap=0.0) == [[0], [1], [2], [3]]


def test_a_narrow_digit_takes_the_room_of_any_other() -> None:
    """As 2718 at an even pitch of 60: beside the 1 there is more paper than between the others."""
    boxes = [(0, 0, 40, 60), (60, 0, 40, 60), (138, 0, 6, 60), (180, 0, 40, 60)]
    assert numbers_in([0, 1, 2, 3], boxes, join_gap=0.6) == [[0, 1, 2, 3]]
    # It does not bridge a gap between numbers: a whole digit would fit in.
    apart = [(0, 0, 40, 60), (100, 0, 6, 60), (166, 0, 40, 60)]
    assert numbers_in([0, 1, 2], apart, join_gap=0.6) == [[0], [1], [2]]


def test_a_gap_that_is_hardly_wider_than_the_one_before_ends_no_number() -> None:
    boxes = [(0, 0, 20, 30), (37, 0, 20, 30), (76, 0, 20, 30), (115, 0, 20, 30)]
    assert numbers_in([0, 1, 2, 3], boxes, join_gap=0.6) == [[0, 1, 2, 3]]
    assert numbers_in([1, 2, 3], boxes, join_gap=0.6) == [[1], [2], [3]]
    assert numbers_in([0, 1, 2], [*boxes[:2], (85, 0, 20, 30)], join_gap=0.6) == [[0, 1], [2]]


box = st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(1, 80), st.integers(1, 80))


@given(st.lists(box, max_size=40))
def test_every_box_is_on_exactly_one_line_from_left_to_right(boxes: list[Box]) -> None:
    lines = arrange(boxes)
    assert sorted(index for line in lines for index in line) == list(range(len(boxes)))
    for line in lines:
        middles = [boxes[index][0] + boxes[index][2] / 2 for index in line]
        assert middles == sorted(middles)


@given(st.lists(box, min_size=1, max_size=10))
def test_the_box_around_boxes_is_the_smallest_that_holds_them(boxes: list[Box]) -> None:
    x, y, w, h = around(boxes)
    assert (x, y) == (min(b[0] for b in boxes), min(b[1] for b in boxes))
    assert (x + w, y + h) == (max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes))
