"""An alarm comes soon after a change, and not without one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgemnist.drift.counts import Window, count
from edgemnist.drift.evidence import ALARM, DOUBTFUL, DOUBTFUL_GOLDEN, MOST, REFUSED, WATCHED, Detector, alarmed, total
from edgemnist.drift.ink import FEATURES, bins_of, ink_of
from tests.drift.making import bolder, images

BINS_OF_IMAGES = bins_of(ink_of(images()))


def week(doubtful: int = 10, refused: int = 5) -> Window:
    some = images()[:500]
    confidences = np.where(np.arange(500) < doubtful, 0.5, 0.99)
    answers = np.where(np.arange(500) >= 500 - refused, -1, 3)
    return count(some, confidences, answers, 10)


def run(detector: Detector, count: int, *, doubtful: float = 0.02, refused: float = 0.01, thick: bool = False) -> int:
    """Return after how many images an alarm comes; `count` if none does."""
    rng = np.random.default_rng(1)
    bins = bins_of(ink_of(bolder(images()[500:]))) if thick else BINS_OF_IMAGES[500:]
    for number in range(count):
        one = bins[rng.integers(len(bins))]
        detector.see(one, doubtful=rng.random() < doubtful, refused=rng.random() < refused)
        if alarmed(detector.evidence()):
            return number + 1
    return count


def test_the_parts_of_the_alarm_add_up_to_one() -> None:
    assert sum(one.weight for one in WATCHED) == pytest.approx(1)
    assert len(WATCHED) == 3 + 2 * len(FEATURES)


def test_without_a_change_there_is_no_alarm() -> None:
    assert run(Detector(week(), week()), 20_000) == 20_000


@pytest.mark.parametrize(
    ("changed", "name"),
    [({"doubtful": 0.3}, DOUBTFUL), ({"refused": 0.3}, REFUSED), ({"thick": True}, "stroke width, higher")],
)
def test_a_change_is_told_by_its_name_within_300_images(changed: dict[str, float], name: str) -> None:
    detector = Detector(week(), week())
    assert run(detector, 300, **changed) < 300  # type: ignore[arg-type]  # of their own types
    assert name in alarmed(detector.evidence())


def test_before_the_first_week_is_complete_doubt_is_compared_with_the_golden_pack() -> None:
    detector = Detector(week(), None)
    assert run(detector, 300, thick=True) == 300
    assert run(detector, 300, doubtful=0.4) < 300
    assert alarmed(detector.evidence()) == [DOUBTFUL_GOLDEN]


def test_evidence_goes_on_where_it_was_and_falls_when_the_change_is_over() -> None:
    detector = Detector(week(), week())
    run(detector, 10, doubtful=0.5)
    again = Detector(week(), week(), detector.evidence())
    assert again.evidence() == detector.evidence()
    run(again, 300, doubtful=0.5)
    assert alarmed(again.evidence())
    # It is bounded, so an alarm of long standing ends as well.
    for one in BINS_OF_IMAGES[500:]:
        again.see(one, doubtful=True, refused=False)
    assert total(again.evidence()) == pytest.approx(math.log(MOST * 3 / 8), abs=0.01)
    rng = np.random.default_rng(2)
    for one in BINS_OF_IMAGES[rng.integers(500, 1_000, 3_000)]:
        again.see(one, doubtful=rng.random() < 0.02, refused=False)
    assert not alarmed(again.evidence())


def test_a_bet_is_worth_no_more_than_it_costs() -> None:
    # Wherever a mean may be within its bound, the mean of the factor is at most 1: of the worst case, it is 1.
    for share in (0, 10, 100, 400):
        detector = Detector(week(doubtful=share), week(doubtful=share, refused=50))
        bounds, bets = detector._bounds, detector._bets
        for row, (bound, bet) in enumerate(zip(bounds, bets, strict=True)):
            lowest, highest = (0.0, 1.0) if row < 3 else (-0.5, 0.5)
            if bound > highest:
                continue
            likely = (bound - lowest) / (highest - lowest)
            low, high = (1 + bet * (value - bound) for value in (lowest, highest))
            assert (low > 0).all()
            assert likely * high + (1 - likely) * low == pytest.approx(np.ones(3))


def test_the_mean_of_all_evidence_is_what_is_compared() -> None:
    nothing = {one.name: [math.log(ALARM)] * 3 for one in WATCHED}
    assert total(nothing) == pytest.approx(math.log(ALARM))
    assert total({}) == -math.inf
    assert alarmed({}) == []
    # One alone needs as much more as its weight is less.
    lonely = {WATCHED[-1].name: [math.log(ALARM)] * 3}
    assert alarmed(lonely) == []
    assert alarmed({WATCHED[-1].name: [math.log(ALARM / WATCHED[-1].weight) + 0.01] * 3}) == [WATCHED[-1].name]
