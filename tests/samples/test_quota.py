"""What is kept of a stream: an even draw, and shares for days, classes and writers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.samples import CORRECTION, UNIFORM, Label
from edgemnist.samples.quota import Filled, Quota, Reservoir
from tests.samples.making import sample_of

STREAM, SIZE, RUNS = 60, 5, 4000


def drawn(rng: random.Random, *, restart_at: int | None = None) -> list[int]:
    """Return the places of a stream that are kept in the end."""
    reservoir = Reservoir(SIZE, rng=rng)
    kept: list[int] = []
    for place in range(STREAM):
        if place == restart_at:
            reservoir = Reservoir(SIZE, reservoir.seen, rng)
        if reservoir.take():
            if len(kept) == SIZE:
                kept.pop(rng.randrange(SIZE))
            kept.append(place)
    assert reservoir.seen == STREAM
    return kept


@pytest.mark.parametrize("restart_at", [None, 3, 17, 59])
def test_every_place_of_a_stream_is_drawn_equally_often_also_after_a_restart(restart_at: int | None) -> None:
    from scipy.stats import chisquare

    rng = random.Random(1)
    runs = [drawn(rng, restart_at=restart_at) for _ in range(RUNS)]
    assert {len(kept) for kept in runs} == {SIZE}
    counts = np.bincount([place for kept in runs for place in kept], minlength=STREAM)
    # The draws of one run exclude one another, so the statistic is a little below that of independent ones.
    assert chisquare(counts).pvalue > 0.001


def test_after_a_restart_with_all_places_taken_the_next_item_is_kept_as_often_as_it_should() -> None:
    rng = random.Random(2)
    for seen in (1, 2):
        kept = sum(Reservoir(1, seen, rng).take() for _ in range(RUNS))
        assert abs(kept / RUNS - 1 / (seen + 1)) < 4 * math.sqrt(0.25 / RUNS)


class Highest(random.Random):
    """Draws the largest number below 1."""

    def random(self) -> float:
        """Return it."""
        return math.nextafter(1, 0)


def test_the_largest_number_that_can_be_drawn_keeps_the_item() -> None:
    reservoir = Reservoir(500, rng=Highest())
    assert all(reservoir.take() for _ in range(600))


def test_a_day_and_a_class_leave_room_for_the_others() -> None:
    quota = Quota(500)
    assert (quota.uniform, quota.chosen, quota.day, quota.day_and_class, quota.writer) == (100, 400, 40, 12, 100)
    filled = Filled(quota, [])
    for _ in range(12):
        assert filled.has_room("2026-11-26", "1")
        filled.add(sample_of(1, at="2026-11-26T10:00:00.000Z"))
    assert not filled.has_room("2026-11-26", "1")
    assert filled.has_room("2026-11-26", "2")
    assert filled.has_room("2026-11-27", "1")
    for number in range(28):
        assert filled.has_room("2026-11-26", "9")
        filled.add(sample_of(number % 4 + 2, at="2026-11-26T11:00:00.000Z"))
    assert not filled.has_room("2026-11-26", "9")


def test_corrections_of_one_writer_leave_room_for_the_others_and_take_none_of_the_day() -> None:
    quota = Quota(40)
    label = Label("7", "ann", "2026-11-26T10:00:00.000Z", settles=False)
    second = Label("1", "bob", "2026-11-26T11:00:00.000Z", settles=False)
    theirs = [sample_of(1, reason=CORRECTION, labels=(label, second)) for _ in range(quota.writer)]
    filled = Filled(quota, [*theirs, sample_of(1, reason=UNIFORM)])
    assert not filled.has_room_for("ann")
    assert filled.has_room_for("bob")
    assert filled.has_room(theirs[0].day, "1")


def test_a_limit_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UsageError, match="--collect-max must be at least 10"):
        Quota(9)
