"""Where a line or a number ends, at the very distances that decide it."""

from __future__ import annotations

import pytest

from edgemnist.read.layout import LINE_OVERLAP, MEMORY, arrange, numbers_in, page_slope
from edgemnist.results.pictures import Box


def row(*levels: float, step: int = 100, height: int = 100) -> list[Box]:
    """Return boxes of 60 × `height` pixels, `step` apart, whose tops are at these levels."""
    return [(step * place, round(level), 60, height) for place, level in enumerate(levels)]


@pytest.mark.parametrize(("drop", "lines"), [(LINE_OVERLAP - 0.01, 1), (LINE_OVERLAP + 0.01, 2)])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_box_is_on_the_line_up_to_the_overlap_and_no_further(drop: float, lines: int, direction: int) -> None:
    # Two boxes have any slope, so none is looked for.
    boxes = row(1000, 1000 + direction * drop * 100)
    assert len(arrange(boxes)) == lines


def test_a_tall_box_is_measured_by_its_own_height() -> None:
    """Its middle is a height of the small ones away, and half of its own."""
    small, tall = (0, 1000, 60, 100), (100, 1000, 60, 300)
    assert len(arrange([small, tall, (200, 1000, 60, 100)])) == 1


def test_a_line_goes_on_from_its_last_boxes_and_not_from_all() -> None:
    """A row that sags like a hammock leaves its first boxes far behind, and a straight mean of all with them."""
    sag = [15 * place for place in range(9)]
    boxes = row(*(1000 + level for level in [*sag, *sag[::-1]]))
    assert len(boxes) > 2 * MEMORY
    assert arrange(boxes) == [list(range(len(boxes)))]


def test_lines_are_read_from_top_to_bottom_whatever_comes_first() -> None:
    lower, upper = row(1400, 1400, 1400), row(1000, 1000, 1000)
    assert arrange([*lower, *upper]) == [[3, 4, 5], [0, 1, 2]]


@pytest.mark.parametrize("slope", [-0.2, -0.1, 0, 0.1, 0.2])
def test_the_slope_of_a_page_has_its_sign(slope: float) -> None:
    boxes = [box for line in range(3) for box in row(*(1000 + 300 * line + slope * 100 * place for place in range(12)))]
    arranged = arrange(boxes)
    assert arranged == [list(range(12)), list(range(12, 24)), list(range(24, 36))]


def test_two_boxes_and_boxes_without_height_have_no_slope() -> None:
    import numpy as np

    assert page_slope(np.array([0.0, 100.0]), np.array([0.0, 20.0]), 100.0) == 0
    assert page_slope(np.arange(5.0), np.arange(5.0), 0.0) == 0


@pytest.mark.parametrize(("gap", "numbers"), [(39, [[0, 1]]), (40, [[0, 1]]), (41, [[0], [1]])])
@pytest.mark.parametrize("heights", [(100, 50), (50, 100), (100, 100)])
def test_a_gap_is_measured_by_the_taller_neighbour(
    gap: int, numbers: list[list[int]], heights: tuple[int, int]
) -> None:
    boxes = [(0, 0, 60, heights[0]), (60 + gap, 0, 60, heights[1])]
    assert numbers_in([0, 1], boxes, 0.4) == numbers


def test_a_gap_is_measured_from_the_box_before_and_not_from_the_first() -> None:
    boxes = [(0, 0, 60, 100), (70, 0, 60, 100), (140, 0, 60, 100), (260, 0, 60, 100)]
    assert numbers_in([0, 1, 2, 3], boxes, 0.4) == [[0, 1, 2], [3]]


def test_of_the_room_beside_a_narrow_digit_half_is_no_gap() -> None:
    """A 1 of 20 × 100 leaves 40 of the room of 60, so 20 to either side."""
    for gap, numbers in ((60, [[0, 1]]), (61, [[0], [1]])):
        assert numbers_in([0, 1], [(0, 0, 20, 100), (20 + gap, 0, 60, 100)], 0.4) == numbers
        assert numbers_in([0, 1], [(0, 0, 60, 100), (60 + gap, 0, 20, 100)], 0.4) == numbers


def test_boxes_are_in_the_order_of_their_middles_and_not_of_their_edges() -> None:
    wide, narrow = (0, 1000, 200, 100), (50, 1000, 20, 100)
    assert arrange([wide, narrow]) == [[1, 0]]
    assert arrange([(80, 1000, 20, 100), wide]) == [[0, 1]]
