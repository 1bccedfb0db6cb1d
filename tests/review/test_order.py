"""What a reviewer is shown, and what first."""

from datetime import datetime

import pytest

from edgemnist.field.samples import (
    CORRECTION,
    DISAGREEMENT,
    DOUBTFUL,
    IMPORTED,
    NOT_A_DIGIT,
    REFUSED,
    UNIFORM,
    Label,
    classes_of,
    now,
    to_review,
)
from tests.samples.making import sample_of


def given(*labels: str) -> tuple[Label, ...]:
    """Return labels such as `7 ann`, or `7! ann` from somebody who had seen that labels differ."""
    each = [one.partition(" ") for one in labels]
    return tuple(Label(label.strip("!"), writer, now(), settles="!" in label) for label, _, writer in each)


def test_the_most_suspicious_comes_first_and_what_is_settled_not_at_all() -> None:
    samples = [
        sample_of(0, id=1, reason=UNIFORM, confidence=0.2),
        sample_of(0, id=2, reason=DOUBTFUL, confidence=0.8),
        # The less certain comes first, and then the older.
        sample_of(0, id=10, reason=DOUBTFUL, confidence=0.4),
        sample_of(0, id=3, reason=DOUBTFUL, confidence=0.4),
        sample_of(0, id=4, reason=REFUSED, answer=None),
        sample_of(0, id=5, reason=CORRECTION, labels=given("1 client 10.0.0.5")),
        sample_of(0, id=6, reason=DISAGREEMENT),
        sample_of(0, id=7, reason=UNIFORM, labels=given("1 ann", "2 bob")),
        sample_of(0, id=8, reason=DOUBTFUL, labels=given("1 bob")),
        sample_of(0, id=9, reason=CORRECTION, labels=given("1 client 10.0.0.5", "1 bob")),
        sample_of(0, id=11, reason=IMPORTED, confidence=0.0),
    ]
    assert [one.id for one in to_review(samples)] == [7, 5, 6, 4, 3, 10, 2, 1, 11]


def test_labels_of_other_classes_have_keys_too_and_what_shows_no_class_is_none() -> None:
    nothing = given(f"{NOT_A_DIGIT} ann")
    for samples in ([], [sample_of(3)], [sample_of(3, labels=nothing)]):
        assert classes_of(samples) == tuple("0123456789")
    assert classes_of([sample_of(3, answer="b"), sample_of(3, answer=None, labels=given("a ann"))]) == ["a", "b"]
    assert classes_of([sample_of(3, answer="b", labels=nothing)]) == ["b"]


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ((), None),
        (("1 ann", "1 bob"), "1"),
        (("1 ann", "2 bob"), None),
        (("1 ann", "2! bob"), "2"),
        # The last one that knew of the difference counts, and what came after it opens it again.
        (("2! bob", "3! cat"), "3"),
        (("2! bob", "3 cat"), None),
        # Another label of the same writer takes the place of the first.
        (("1 ann", "2 bob", "2 ann"), "2"),
        # What a client says counts until a person says something.
        (("1 client 10.0.0.5",), "1"),
        (("1 client 10.0.0.5", "2 ann"), "2"),
    ],
)
def test_labels_differ_until_somebody_who_knows_it_decides(labels: tuple[str, ...], label: str | None) -> None:
    sample = sample_of(0, labels=given(*labels))
    assert (sample.label, sample.disputed) == (label, bool(labels) and label is None)


def test_the_time_of_a_sample_is_in_utc_to_the_millisecond() -> None:
    assert len(now()) == len("2026-11-26T01:30:00.123Z")
    assert now().endswith("Z")
    assert abs((datetime.fromisoformat(now()) - datetime.now().astimezone()).total_seconds()) < 60
