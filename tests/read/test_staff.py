"""Staves of music, of which nothing is a digit."""

from __future__ import annotations

import numpy as np

from edgemnist.read.lines import Line
from edgemnist.read.staff import find_staves

SPACE = 14


def staff(top: float, *, lines: int = 5, slope: float = 0.0, length: int = 800) -> list[Line]:
    """Return level lines below one another."""
    return [
        Line(np.polynomial.Polynomial([top + SPACE * line, slope]), first=50, last=50 + length, thickness=2.0)
        for line in range(lines)
    ]


def test_a_staff_holds_its_notes_and_their_stems() -> None:
    (found,) = find_staves(staff(200, slope=0.1))
    left, right = 205, 285
    assert found.holds(50, left + 30)
    assert found.holds(850, right + 30)
    assert not found.holds(850, left - 20)
    assert found.holds(450, 200 + 45 + 5 * SPACE)
    assert not found.holds(450, 200 + 45 + 10 * SPACE)
    assert not found.holds(1_000, right + 30)


def test_five_lines_are_a_staff_and_no_other_number_of_them() -> None:
    assert len(find_staves([*staff(100), *staff(300)])) == 2
    for lines in (4, 6, 20):
        assert find_staves(staff(100, lines=lines)) == []
    # The rows of a form are as far apart as they are long, almost.
    assert find_staves(staff(100, length=10 * 4 * SPACE - 5)) == []
    assert find_staves([]) == []


def test_what_notes_leave_of_a_line_does_not_hide_its_staff() -> None:
    """Where a short part would be in the middle of the page is not known: here, between two lines."""
    part = Line(np.polynomial.Polynomial([100 + 1.5 * SPACE - 45, 0.1]), first=800, last=850, thickness=2.0)
    assert len(find_staves([*staff(100), part])) == 1
