"""What a reviewer is shown, and what first."""

from __future__ import annotations

from edgemnist.samples import (
    CORRECTION,
    DISAGREEMENT,
    DOUBTFUL,
    IMPORTED,
    NOT_A_DIGIT,
    REASONS,
    REFUSED,
    UNIFORM,
    Label,
    classes_of,
    now,
    to_review,
)
from tests.samples.making import sample_of


def test_the_most_suspicious_comes_first_and_what_is_settled_not_at_all() -> None:
    def given(label: str, writer: str) -> Label:
        return Label(label, writer, now(), settles=False)

    samples = [
        sample_of(0, id=1, reason=UNIFORM, confidence=0.2),
        sample_of(0, id=2, reason=DOUBTFUL, confidence=0.8),
        sample_of(0, id=3, reason=DOUBTFUL, confidence=0.4),
        sample_of(0, id=4, reason=REFUSED, answer=None),
        sample_of(0, id=5, reason=CORRECTION, labels=(given("1", "client"),)),
        sample_of(0, id=6, reason=DISAGREEMENT),
        sample_of(0, id=7, reason=UNIFORM, labels=(given("1", "ann"), given("2", "bob"))),
        sample_of(0, id=8, reason=DOUBTFUL, labels=(given("1", "bob"),)),
        sample_of(0, id=9, reason=CORRECTION, labels=(given("1", "client"), given("1", "bob"))),
    ]
    assert [one.id for one in to_review(samples, "ann")] == [7, 5, 6, 4, 3, 2, 1]
    # Nobody confirms what they have said themselves.
    assert 5 not in {one.id for one in to_review(samples, "client")}


def test_labels_of_other_classes_have_keys_too() -> None:
    assert classes_of([sample_of(3)]) == tuple("0123456789")
    letters = [sample_of(3, answer="b"), sample_of(3, answer=None, labels=(Label("a", "ann", now(), settles=False),))]
    assert classes_of(letters) == ["a", "b"]


def test_of_two_for_the_same_reason_the_less_certain_comes_first_and_then_the_older() -> None:
    samples = [
        sample_of(0, id=3, confidence=0.5),
        sample_of(0, id=2, confidence=0.5),
        sample_of(0, id=1, confidence=0.6),
        sample_of(0, id=4, reason=IMPORTED, confidence=0.1),
    ]
    assert [one.id for one in to_review(samples, "ann")] == [2, 3, 1, 4]
    # Whatever reason a sample was kept for, it has its place.
    every = [sample_of(0, id=number, reason=reason) for number, reason in enumerate(REASONS)]
    assert len(to_review(every, "ann")) == len(REASONS)


def test_what_shows_no_class_is_none() -> None:
    nothing = (Label(NOT_A_DIGIT, "ann", now(), settles=False),)
    assert classes_of([sample_of(3, labels=nothing)]) == tuple("0123456789")
    assert classes_of([]) == tuple("0123456789")
    assert classes_of([sample_of(3, answer="b", labels=nothing)]) == ["b"]


def test_labels_differ_until_somebody_who_knows_it_decides() -> None:
    def given(label: str, writer: str, *, settles: bool = False) -> Label:
        return Label(label, writer, now(), settles=settles)

    assert (sample_of(0).label, sample_of(0).disputed) == (None, False)
    agreed = sample_of(0, labels=(given("1", "ann"), given("1", "bob")))
    assert (agreed.label, agreed.disputed) == ("1", False)
    differing = sample_of(0, labels=(given("1", "ann"), given("2", "bob")))
    assert (differing.label, differing.disputed) == (None, True)
    settled = sample_of(0, labels=(given("1", "ann"), given("2", "bob", settles=True)))
    assert (settled.label, settled.disputed) == ("2", False)
    # The last one that knew of the difference counts, and what came after it opens it again.
    again = sample_of(0, labels=(given("2", "bob", settles=True), given("3", "cat", settles=True)))
    assert again.label == "3"
    reopened = sample_of(0, labels=(given("2", "bob", settles=True), given("3", "cat")))
    assert (reopened.label, reopened.disputed) == (None, True)
    assert sample_of(0, at="2026-11-26T01:30:00.123Z").day == "2026-11-26"


def test_the_time_of_a_sample_is_in_utc_to_the_millisecond() -> None:
    from datetime import datetime

    assert len(now()) == len("2026-11-26T01:30:00.123Z")
    assert now().endswith("Z")
    assert abs((datetime.fromisoformat(now()) - datetime.now().astimezone()).total_seconds()) < 60
