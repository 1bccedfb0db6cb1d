"""What is kept of a stream: an even draw, and shares for days, classes and writers."""

import random

import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.field.samples import CORRECTION, DISAGREEMENT, DOUBTFUL, REFUSED, UNIFORM
from edgemnist.field.samples.store import Quota, crowded_out, is_drawn

STREAM, SIZE, RUNS = 60, 5, 1000


def test_every_place_of_a_stream_is_drawn_equally_often() -> None:
    from scipy.stats import chisquare

    random.seed(1)
    counts = np.zeros(STREAM)
    for _ in range(RUNS):
        kept: list[int] = []
        for place in range(STREAM):
            if is_drawn(place + 1, SIZE):
                if len(kept) == SIZE:
                    kept.pop(random.randrange(SIZE))
                kept.append(place)
        assert len(kept) == SIZE
        counts[kept] += 1
    # The draws of one run exclude one another, so the statistic is a little below that of independent ones.
    assert chisquare(counts).pvalue > 0.001


def test_the_shares_of_a_limit_add_up_to_it() -> None:
    quota = Quota(500)
    assert (quota.day, quota.day_and_class) == (25, 8)
    kinds = {UNIFORM: 100, CORRECTION: 100, DISAGREEMENT: 50, DOUBTFUL: 250, REFUSED: 250}
    assert {reason: quota.of(reason) for reason in kinds} == kinds
    assert all(sum(map(Quota(total).of, list(kinds)[:4])) == total for total in range(10, 300))
    with pytest.raises(UsageError, match="--collect-max must be at least 10"):
        Quota(9)


@pytest.mark.parametrize(
    ("groups", "most", "gone"),
    [
        ("112", 4, []),
        ("112", 3, [1]),
        ("1222", 4, [2]),
        ("2121", 4, [1]),
        ("1222", 3, [2, 3]),
        ("111111", 2, [1, 2]),
        ("1", 1, [1]),
        ("", 1, []),
    ],
)
def test_the_oldest_of_the_largest_group_goes_and_two_where_there_are_too_many(
    groups: str, most: int, gone: list[int]
) -> None:
    assert crowded_out(list(enumerate(groups, 1)), most) == gone
