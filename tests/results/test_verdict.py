"""Nothing that is not known has passed, whatever the figures are."""

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemnist.ground.results.verdict import (
    MISSED,
    PASSED,
    UNKNOWN,
    WORST_FIRST,
    Basis,
    Measurement,
    Verdict,
    joint,
    judge,
)

FIGURES = st.floats(allow_nan=False, allow_infinity=False)
UNKNOWN_FIGURES = st.sampled_from([None, math.nan, math.inf, -math.inf])


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    limit, most = draw(FIGURES), draw(st.booleans())
    return Measurement(
        name="x",
        value=draw(FIGURES | UNKNOWN_FIGURES),
        most=limit if most else None,
        least=None if most else limit,
        reason="too much",
        otherwise=draw(st.sampled_from([MISSED, UNKNOWN])),
    )


BASES = st.builds(
    Basis,
    **{name: st.sampled_from(["", "a", "b"]) for name in Basis.__struct_fields__ if name != "images"},
    images=st.integers(0, 3),
)


@given(st.lists(measurements(), max_size=5), st.integers(0, 5), UNKNOWN_FIGURES, measurements())
def test_what_is_missing_or_no_number_has_not_passed(
    others: list[Measurement], place: int, value: float | None, one: Measurement
) -> None:
    found = judge([*others[:place], replace(one, value=value), *others[place:]])
    assert not found.passed
    assert found.outcome in {MISSED, UNKNOWN}
    assert found.reasons


def test_without_a_measurement_nothing_is_known() -> None:
    assert judge([]) == Verdict(outcome=UNKNOWN, reasons=["Nothing was measured"])
    assert joint({}).outcome == UNKNOWN
    assert not Verdict().passed


@given(st.lists(measurements(), min_size=1, max_size=5), FIGURES)
def test_a_tighter_limit_never_turns_missed_into_passed(some: list[Measurement], by: float) -> None:
    before = judge(some)
    one = some[0]
    tighter = replace(
        one,
        most=None if one.most is None else min(one.most, by),
        least=None if one.least is None else max(one.least, by),
    )
    after = judge([tighter, *some[1:]])
    assert WORST_FIRST.index(after.outcome) <= WORST_FIRST.index(before.outcome)


@given(st.lists(measurements(), min_size=1, max_size=5))
def test_the_outcome_is_the_worst_and_every_other_one_is_said(some: list[Measurement]) -> None:
    found = judge(some)
    outcomes = [limit.outcome for limit in found.limits]
    assert found.outcome == min(outcomes, key=WORST_FIRST.index)
    assert len(found.reasons) == sum(outcome != PASSED for outcome in outcomes)
    assert found.passed == (not found.reasons)
    assert joint({"a": found, "b": judge(some)}).outcome == found.outcome
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdict) == found


@given(BASES, BASES)
def test_a_verdict_holds_for_what_it_rests_on_and_nothing_else(then: Basis, now: Basis) -> None:
    passed = judge([Measurement(name="x", value=1, most=1, reason="")], then)
    found = passed.here(now, "edgemnist verify")
    assert found.passed == (then == now)
    if then != now:
        assert found.outcome == UNKNOWN
        assert found.reasons[0].startswith("judged before a change of ")


def test_a_verdict_that_rests_on_nothing_holds_nowhere() -> None:
    passed = judge([Measurement(name="x", value=1, most=1, reason="")])
    assert passed.passed
    assert passed.here(Basis(), "edgemnist verify").outcome == UNKNOWN


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.2, PASSED), (math.nextafter(0.2, 1), MISSED), (math.nan, MISSED), (None, UNKNOWN)]
)
def test_a_limit_holds_to_the_last_bit(value: float | None, outcome: str) -> None:
    most = judge([Measurement(name="x", value=value, most=0.2, reason="too much")])
    least = judge([Measurement(name="x", value=None if value is None else -value, least=-0.2, reason="too little")])
    assert most.outcome == least.outcome == outcome
    few = judge([Measurement(name="images", value=499, least=500, otherwise=UNKNOWN, reason="too few")])
    assert (few.outcome, few.reasons) == (UNKNOWN, ["too few"])


def test_a_reason_tells_what_has_changed() -> None:
    then = Basis(artifact="a", golden="b", images=5)
    passed = judge([Measurement(name="x", value=1, most=1, reason="")], then)
    found = passed.here(Basis(artifact="a", golden="c", images=6), "edgemnist verify")
    words = "judged before a change of the evaluation images and the number of images: run edgemnist verify"
    assert found.reasons == [words]
