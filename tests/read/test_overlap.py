"""How much of two boxes is common to both."""

from __future__ import annotations

import pytest

from edgemnist.read.layout import overlap

LARGE = (10.0, 20.0, 8.0, 6.0)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (LARGE, 1),
        # Inside of it.
        ((12.0, 21.0, 4.0, 3.0), 12 / 48),
        # Over a corner: 3 × 2 of 48 + 20 - 6; and to the other sides.
        ((15.0, 24.0, 5.0, 4.0), 6 / 62),
        ((7.0, 17.0, 5.0, 4.0), 2 / 66),
        # As wide as a part of it, and beyond it above and below.
        ((11.0, 10.0, 2.0, 40.0), 12 / 116),
        # Side by side, and one above the other, with a common edge; less than a pixel over it; and apart.
        ((18.0, 20.0, 8.0, 6.0), 0),
        ((10.0, 26.0, 8.0, 6.0), 0),
        ((17.5, 20.0, 8.0, 6.0), 3 / 93),
        ((10.0, 25.5, 8.0, 6.0), 4 / 92),
        ((40.0, 50.0, 8.0, 6.0), 0),
        ((10.0, 50.0, 8.0, 6.0), 0),
    ],
)
def test_the_overlap_is_the_intersection_by_the_union(other: tuple[float, float, float, float], share: float) -> None:
    assert overlap(LARGE, other) == overlap(other, LARGE) == pytest.approx(share)
