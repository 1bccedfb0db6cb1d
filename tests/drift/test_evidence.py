"""An alarm comes soon after a change, and not without one."""

import math

import numpy as np
import pytest

from edgemnist.field.drift import Window, count
from edgemnist.field.drift.evidence import (
    ALARM,
    DOUBTFUL,
    DOUBTFUL_GOLDEN,
    MOST,
    REFUSED,
    WATCHED,
    Detector,
    alarmed,
    means,
    total,
)
from edgemnist.field.drift.ink import BINS, FEATURES, bins_of, ink_of
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


def test_without_a_change_there_is_no_alarm() -> None:
    assert run(Detector(week(), week()), 10_000) == 10_000


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


def test_the_weighted_mean_of_all_evidence_is_what_is_compared() -> None:
    assert sum(one.weight for one in WATCHED) == pytest.approx(1)
    nothing = {one.name: [math.log(ALARM)] * 3 for one in WATCHED}
    assert total(nothing) == pytest.approx(math.log(ALARM))
    assert total({}) == -math.inf
    assert alarmed({}) == []
    # One alone needs as much more as its weight is less.
    # The book promises one in 100,000, and `health` and the report show it as 10^5.
    just = math.log(100_000 / WATCHED[-1].weight)
    assert alarmed({WATCHED[-1].name: [just + 1e-6] * 3}) == [WATCHED[-1].name]
    assert alarmed({WATCHED[-1].name: [just - 1e-6] * 3}) == []


def window(images: int, *, doubtful: int = 0, refused: int = 0) -> Window:
    """Return counts whose ink is spread evenly over all bins."""
    ink = [[images // BINS] * BINS for _ in FEATURES]
    return Window(images=images, doubtful=doubtful, refused=refused, classes=[images - refused], ink=ink)


MIDDLE = np.full(len(FEATURES), BINS // 2)
BETS_ON_INK = (0.3, 0.8, 1.5)


def grown(detector: Detector, name: str) -> list[float]:
    """Return the evidence for a quantity, no logarithms."""
    return [math.exp(one) for one in detector.evidence()[name]]


def test_bounds_are_three_standard_errors_and_a_tolerance_away_from_the_reference() -> None:
    # 90 of 900 have a standard error of 0.01, 120 of 1,200 of 0.00866, and a mean rank of 1,200 of 1/√(12 · 1,200).
    golden, first = window(1_000, doubtful=90, refused=100), window(1_200, doubtful=108, refused=120)
    bounds = Detector(golden, first)._bounds
    assert bounds[:3] == pytest.approx([0.18, 0.1 + 0.005 + 0.027386, 0.1 + 0.02 + 0.025981], abs=1e-6)
    assert bounds[3:] == pytest.approx(np.full(2 * len(FEATURES), 0.02 + 0.025), abs=1e-6)
    # A share of nothing is as uncertain as one of half a percent.
    assert Detector(None, window(1_200))._bounds[1:3] == pytest.approx([0.005 + 0.006108, 0.02 + 0.006108], abs=1e-6)


def test_an_image_multiplies_the_evidence_and_one_is_added_before() -> None:
    detector = Detector(window(1_000, doubtful=90, refused=100), None)
    detector.see(MIDDLE, doubtful=True, refused=False)
    # The largest bet is what loses 0.9 at most: 0.9 / 0.18.
    assert grown(detector, DOUBTFUL_GOLDEN) == pytest.approx([1.82, 3.46, 5.1])
    detector.see(MIDDLE, doubtful=False, refused=False)
    assert grown(detector, DOUBTFUL_GOLDEN) == pytest.approx([2.82 * 0.82, 4.46 * 0.46, 6.1 * 0.1])
    assert list(detector.evidence()) == [DOUBTFUL_GOLDEN]


def test_what_was_not_answered_says_nothing_about_doubt() -> None:
    detector = Detector(window(1_000, doubtful=90), window(1_200, doubtful=120))
    detector.see(MIDDLE, doubtful=True, refused=False)
    before = detector.evidence()
    detector.see(MIDDLE, doubtful=True, refused=True)
    after = detector.evidence()
    assert [after[name] == before[name] for name in (DOUBTFUL_GOLDEN, DOUBTFUL, REFUSED)] == [True, True, False]
    assert after[REFUSED][2] > before[REFUSED][2]


def test_ink_counts_by_its_rank_in_the_first_week() -> None:
    detector = Detector(None, window(1_200))
    bins = MIDDLE.copy()
    bins[0], bins[1] = 0, BINS - 1
    detector.see(bins, doubtful=False, refused=False)
    # Either end is 1/48 away from rank 0 or 1, and so 23/48 from the mean.
    rises, falls = ([1 + bet * (way * 23 / 48 - 0.045) for bet in BETS_ON_INK] for way in (1, -1))
    width, slant = (one.name for one in FEATURES[:2])
    assert grown(detector, f"{width}, lower") == pytest.approx(rises)
    assert grown(detector, f"{width}, higher") == pytest.approx(falls)
    assert grown(detector, f"{slant}, lower") == pytest.approx(falls)
    assert grown(detector, f"{slant}, higher") == pytest.approx(rises)


def test_a_reference_without_answers_is_none() -> None:
    detector = Detector(window(100, refused=100), window(100, refused=100))
    detector.see(MIDDLE, doubtful=True, refused=False)
    assert not {DOUBTFUL_GOLDEN, DOUBTFUL} & detector.evidence().keys()


def test_evidence_of_another_kind_is_begun_again() -> None:
    kept = {DOUBTFUL: [1.0, 2.0], REFUSED: [1.0, 2.0, 3.0], "what is measured no longer": [5.0, 5.0, 5.0]}
    assert Detector(None, window(1_200), kept).evidence() == {REFUSED: [1.0, 2.0, 3.0]}


def test_of_several_changes_the_surest_comes_first_and_the_doubtful_are_left_out() -> None:
    just = math.log(ALARM)
    evidence = {WATCHED[1].name: [just] * 3, WATCHED[2].name: [just + 9] * 3, WATCHED[3].name: [just - 0.01] * 3}
    assert alarmed(evidence) == [WATCHED[2].name, WATCHED[1].name]
    # The mean of powers, not of logarithms: one bet of three is enough.
    assert means({"x": [math.log(6), -math.inf, -math.inf], "y": []}) == {"x": pytest.approx(math.log(2))}
